import { randomUUID } from 'node:crypto';
import type { TurnEvent } from '@skein/gateway';
import { type LlmTurn, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { until } from './faults/skein-node.ts';
import { Nodes, type TestHost } from './nodes.ts';

const { signal } = new AbortController();

/** A node that forwards what is too much for it, beside one that has nothing to do; neither model answers before `open`. */
async function startOverflow(helperConfig: ConfigInput, bossConfig: ConfigInput = {}) {
  await using stack = new AsyncDisposableStack();
  const gate = Promise.withResolvers<LlmTurn>();
  const llm = stack.use(await startLlmServer({ script: () => gate.promise }));
  const brain = { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } as const;
  const nodes = stack.use(new Nodes());
  const helper = nodes.make('helper', { brain, ...helperConfig });
  const overflow = { brain, tasks: { concurrency: 2 }, net: { taskOverflow: 'forward', maxQueuedTasks: 3 } } as const;
  const boss = nodes.make('boss', { ...overflow, ...bossConfig });
  helper.trusts([boss, { trust: 'tool', allowBrain: true }]);
  await nodes.start(helper);
  boss.trusts([helper, { trust: 'tool', url: helper.url }]);
  await nodes.start(boss);
  await expect.poll(() => boss.host.backend.peers()[0]?.brain ?? null).not.toBeNull();
  /** Asks for so many at once, each in a conversation of its own; the last event of each. */
  const ask = (count: number) => Array.from({ length: count }, () => last(boss, randomUUID()));
  const life = stack.move();
  return {
    ...{ boss, helper, ask },
    open: () => gate.resolve({ text: 'Done.' }),
    [Symbol.asyncDispose]: () => life.disposeAsync(),
  };
}

async function last({ host }: TestHost, sessionId: string): Promise<TurnEvent | undefined> {
  let event: TurnEvent | undefined;
  for await (const next of host.backend.ask({ text: 'work', sessionId, interactive: false }, { signal })) event = next;
  return event;
}

const countOf = ({ host }: TestHost, state: string) => host.backend.tasks().filter((task) => task.state === state).length;

test('what is too much at once is forwarded to the last place in the queue of a peer, and only then refused', async () => {
  await using net = await startOverflow({ tasks: { concurrency: 2 }, net: { maxQueuedTasks: 10 } });
  const { boss, helper } = net;
  const answers = net.ask(12);
  // Over there one of two runs, and of its queue and place as many as it leaves free for others.
  await expect.poll(() => [countOf(boss, 'running'), countOf(boss, 'queued'), countOf(boss, 'forwarded')]).toEqual([2, 3, 6]);
  await expect.poll(() => [countOf(helper, 'running'), countOf(helper, 'queued')]).toEqual([1, 5]);
  // Nor is there any room for more a while later, when both have told how busy they are.
  const [again] = net.ask(1);
  const refused = {
    type: 'error',
    code: 'busy',
    retryAfterMs: 1_000,
    message: expect.stringMatching(/net\.maxQueuedTasks.* no peer that would do one has room for it: try again in 1 s/),
  };
  expect(await again).toMatchObject(refused);
  net.open();
  const ended = await Promise.all(answers);
  expect(ended.filter((event) => event?.type === 'answer')).toHaveLength(11);
  expect(ended.filter((event) => event?.type === 'error')).toMatchObject([refused]);
});

test('what nobody has room for waits, and is lost by no number of refusals', { timeout: 30_000 }, async () => {
  const full = { tasks: { concurrency: 1 }, net: { maxQueuedTasks: 1 } };
  await using net = await startOverflow(full, { brain: { provider: 'none' }, net: { brainSource: 'remote' } });
  const { boss, helper } = net;
  const answers = net.ask(6);
  await expect.poll(() => countOf(boss, 'queued') + countOf(boss, 'forwarded')).toBe(6);
  const sinceMs = performance.now();
  // Each of them is refused once a second.
  await until('it was long enough', () => performance.now() - sinceMs > 6_000);
  expect(countOf(helper, 'running') + countOf(helper, 'queued')).toBeLessThan(6);
  net.open();
  for (const event of await Promise.all(answers)) expect(event).toMatchObject({ type: 'answer' });
  expect(boss.host.backend.tasks().map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1, 1, 1]);
});
