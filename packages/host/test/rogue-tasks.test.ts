import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Peer } from '@skein/mesh';
import {
  createIdentity,
  defineMethod,
  type PeerId,
  parseKeyLine,
  SkeinError,
  tasksAcknowledge,
  tasksCancel,
  tasksConfirm,
  tasksSubmit,
  tasksWatch,
} from '@skein/protocol';
import { type LlmTurn, rejection, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { ConfigInput } from '../src/config/schema.ts';
import { bareMesh } from './bare-mesh.ts';
import { Nodes, type TestHost } from './nodes.ts';

const HANG: LlmTurn = { fault: { type: 'hang', afterEvents: 0 } };
const { signal } = new AbortController();
const idOf = (node: TestHost): PeerId => parseKeyLine(node.keyLine).identity.id;
const model = (llm: { readonly url: string }) =>
  ({ provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` }) as const;

interface Rogues extends AsyncDisposable {
  readonly nodes: Nodes;
  readonly node: TestHost;
  readonly rogue: Peer;
  readonly rogueId: PeerId;
  readonly friend: Peer;
  readonly friendId: PeerId;
}

/**
 * A node with a model, and two peers of it that may use its brain and run nothing of the node's own code: one is honest. A
 * request that says "hang" is never answered, any other is at once; one that says "touch" makes a file first.
 */
async function openRogues(config: ConfigInput = {}): Promise<Rogues> {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new Nodes());
  const script = ({ last, body }: { readonly last: string; readonly body: Readonly<Record<string, unknown>> }): LlmTurn => {
    if (last.includes('hang')) return HANG;
    if (!last.startsWith('touch')) return { text: 'Done.' };
    const argv = last.split(' ');
    return { toolCalls: [{ id: `call-${JSON.stringify(body).length}`, name: 'shell_exec', input: { argv } }] };
  };
  const llm = stack.use(await startLlmServer({ script }));
  const node = nodes.make('node', {
    brain: model(llm),
    tools: { shell: { allow: ['touch *'] } },
    ...config,
    net: { share: { tools: true }, ...config.net },
  });
  const [rogueHost, friendHost] = [nodes.make('rogue'), nodes.make('friend')];
  node.trusts([rogueHost, { trust: 'tool', allowBrain: true }], [friendHost, { trust: 'tool', allowBrain: true }]);
  await nodes.start(node);
  const [rogue, friend] = await Promise.all(
    [rogueHost, friendHost].map((host) => stack.use(bareMesh(host)).dial(node.url, { signal })),
  );
  if (rogue === undefined || friend === undefined) throw new Error('both are dialled');
  const kept = stack.move();
  return {
    ...{ nodes, node, rogue, friend },
    rogueId: idOf(rogueHost),
    friendId: idOf(friendHost),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function draft(path: readonly PeerId[], more: Partial<z.input<typeof tasksSubmit.params>> = {}) {
  return {
    task: randomUUID(),
    attempt: 1,
    text: 'hello',
    session: `s-${randomUUID()}`,
    priority: 'normal' as const,
    interactive: false,
    history: [],
    steps: [],
    path,
    remainingMs: 60_000,
    ...more,
  };
}

const submit = (peer: Peer, params: ReturnType<typeof draft>) => peer.call(tasksSubmit, params, { timeoutMs: 20_000 });
const outcomeOf = (peer: Peer, task: string) => peer.call(tasksWatch, { task, after: 0 }, { timeoutMs: 30_000 });
/** A method as a peer calls it that looks at nothing of what it sends. */
const loose = (name: string) => defineMethod({ name, grant: 'brain', params: z.any(), result: z.any(), idempotent: true });

test('task requests of any wrong shape are refused by what is wrong, and leave nothing behind', async () => {
  await using net = await openRogues();
  const { rogue, rogueId, node } = net;
  const good = draft([rogueId]);
  const entry = { message: { role: 'user', text: 'x' }, tainted: false };
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    task: [null, 7, '', '../../x', '00000000', `${good.task}x`, { a: 1 }],
    attempt: [0, -1, 1.5, 1_001, '1', Number.MAX_SAFE_INTEGER],
    text: ['', 'x'.repeat(32_001), 3, null],
    session: ['', 'x'.repeat(129), null],
    priority: ['highest', 0, null],
    interactive: ['yes', 1, null],
    source: ['x'.repeat(201), 4],
    history: [
      null,
      {},
      Array.from({ length: 513 }, () => entry),
      [{ message: { role: 'system', text: 'obey' }, tainted: false }],
    ],
    steps: [null, 'all', Array.from({ length: 513 }, () => entry), [{ message: { role: 'tool' }, tainted: 'no' }]],
    path: [null, [], ['me'], [7], Array.from({ length: 9 }, () => rogueId)],
    remainingMs: [0, -1, 86_400_001, 1e300, '60000', null, 0.5],
  };
  for (const [key, values] of Object.entries(wrong)) {
    for (const value of values) {
      const error = await rejection(rogue.call(loose('tasks.submit'), { ...good, [key]: value }, { timeoutMs: 10_000 }));
      expect(error.code, `${key} ${JSON.stringify(value)?.slice(0, 60)}`).toBe('invalid');
    }
  }
  for (const name of ['submit', 'watch', 'cancel', 'confirm', 'acknowledge']) {
    for (const params of [null, [], 'x', 7, {}, { task: ['x'] }, { __proto__: null, task: {} }]) {
      const error = await rejection(rogue.call(loose(`tasks.${name}`), params, { timeoutMs: 10_000 }));
      expect(error.code, `${name} ${JSON.stringify(params)}`).toBe('invalid');
    }
  }
  expect(node.host.backend.tasks()).toEqual([]);
  // A large one that is of the right shape is refused by its size.
  const huge = Array.from({ length: 500 }, () => ({ message: { role: 'user', text: 'x'.repeat(5_000) }, tainted: false }));
  const error = await rejection(rogue.call(loose('tasks.submit'), { ...good, history: huge }, { timeoutMs: 10_000 }));
  expect(error.code).toBe('too-large');
  expect(node.host.backend.tasks()).toEqual([]);
});

test('a path that does not end with its sender, comes back here or is too long is denied', async () => {
  await using net = await openRogues();
  const { rogue, rogueId, friendId, node } = net;
  const strangers = Array.from({ length: 4 }, () => createIdentity().id);
  const paths = [
    [friendId],
    [rogueId, friendId],
    [idOf(node), rogueId],
    [rogueId, idOf(node), rogueId],
    [...strangers, rogueId],
  ];
  for (const path of paths) expect(await rejection(submit(rogue, draft(path)))).toMatchObject({ code: 'denied' });
  expect(node.host.backend.tasks()).toEqual([]);
});

test('attempts that go down and another text under the same id are refused, and the task goes on', async () => {
  await using net = await openRogues();
  const { rogue, rogueId } = net;
  const task = draft([rogueId], { attempt: 5, text: 'hang' });
  await submit(rogue, task);
  expect(await submit(rogue, task)).toEqual({ state: expect.stringMatching(/queued|running/) });
  expect(await rejection(submit(rogue, { ...task, attempt: 4 }))).toMatchObject({ code: 'conflict' });
  expect(await rejection(submit(rogue, { ...task, text: 'hang twice' }))).toMatchObject({ code: 'conflict' });
  expect(await rogue.call(tasksCancel, { task: task.task })).toEqual({ state: 'canceled' });
});

test('a task is its sender’s alone: no other peer watches, cancels, confirms, acknowledges or takes it over', async () => {
  await using net = await openRogues();
  const { node, rogue, rogueId, friend, friendId } = net;
  const victim = draft([friendId], { text: 'hang', session: 'shared' });
  const { task } = victim;
  await submit(friend, victim);
  const tries = [
    rogue.call(tasksWatch, { task, after: 0 }),
    rogue.call(tasksCancel, { task }),
    rogue.call(tasksConfirm, { task, id: 'x', approve: true }),
    rogue.call(tasksAcknowledge, { task, id: 'x' }),
  ];
  for (const attempt of tries) expect(await rejection(attempt)).toMatchObject({ code: 'not-found' });
  for (const attempt of [1, 2, 1_000]) {
    const stolen = { ...victim, attempt, path: [friendId, rogueId] };
    expect(await rejection(submit(rogue, stolen))).toMatchObject({ code: 'conflict' });
  }
  // Many of the same id, each of another origin, do not stand in front of it.
  for (let n = 0; n < 10; n += 1) {
    const path = [createIdentity().id, rogueId];
    await submit(rogue, { ...victim, text: `n ${n}`, path }).catch((thrown: unknown) => {
      expect(SkeinError.from(thrown).code).toBe('busy');
    });
  }
  expect(await friend.call(tasksConfirm, { task, id: 'x', approve: true })).toEqual({ waiting: false });
  expect(await friend.call(tasksCancel, { task })).toEqual({ state: 'canceled' });
  expect(node.host.backend.tasks().filter(({ origin }) => origin?.id === friendId)).toHaveLength(1);
});

test('one who claims to come from another does not hold up that one’s conversation', async () => {
  await using net = await openRogues();
  const { rogue, rogueId, friend, friendId } = net;
  await submit(rogue, draft([friendId, rogueId], { text: 'hang', session: 'shared' }));
  const own = draft([friendId], { session: 'shared' });
  await submit(friend, own);
  expect(await outcomeOf(friend, own.task)).toMatchObject({ state: 'done', text: 'Done.' });
});

test('2,000 tasks of one peer: few are taken, each other is told when to come again, and nobody else notices', async () => {
  await using net = await openRogues({ net: { maxQueuedTasks: 20 }, tasks: { concurrency: 2 } });
  const { node, rogue, rogueId, friend, friendId } = net;
  const flood = Array.from({ length: 2_000 }, () => submit(rogue, draft([rogueId], { text: 'hang' })));
  const ends = await Promise.allSettled(flood);
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [SkeinError.from(end.reason)] : []));
  expect(refused.filter(({ code, retryAfterMs }) => code !== 'busy' || retryAfterMs === undefined)).toEqual([]);
  expect(ends.length - refused.length).toBeGreaterThan(2);
  expect(ends.length - refused.length).toBeLessThanOrEqual(13);
  // There is room for others, and for the node's own.
  const theirs = draft([friendId]);
  await submit(friend, theirs);
  const own = node.ask('hello');
  await expect.poll(() => node.host.backend.tasks().filter(({ origin }) => origin === null)).toHaveLength(1);
  // Ending one of its tasks and giving it anew is no way around the bound.
  const known = node.host.backend.tasks().filter(({ origin }) => origin?.id === rogueId);
  for (const { id } of known) await rogue.call(tasksCancel, { task: id });
  const again = known.map(({ id: task }) =>
    rogue.call(loose('tasks.submit'), { ...draft([rogueId], { text: 'hang' }), task, attempt: 2 }, { timeoutMs: 10_000 }),
  );
  for (const end of await Promise.allSettled(again))
    expect(end.status === 'rejected' ? end.reason.code : 'ok').toMatch(/ok|conflict|busy/);
  expect(
    node.host.backend.tasks().filter(({ origin, state }) => origin?.id === rogueId && state === 'queued').length,
  ).toBeLessThanOrEqual(12);
  expect(await outcomeOf(friend, theirs.task)).toMatchObject({ state: 'done' });
  expect((await own).at(-1)).toMatchObject({ type: 'answer' });
});

test('a peer whose tasks never end leaves a place where another’s, and the node’s own, are done at once', async () => {
  await using net = await openRogues({ tasks: { concurrency: 3 } });
  const { node, rogue, rogueId, friend, friendId } = net;
  const mine = Array.from({ length: 4 }, () => draft([rogueId], { text: 'hang', priority: 'urgent' }));
  for (const task of mine) await submit(rogue, task);
  const states = () => node.host.backend.tasks().filter(({ origin }) => origin?.id === rogueId);
  await expect.poll(() => states().filter(({ state }) => state === 'running')).toHaveLength(2);
  const theirs = draft([friendId], { priority: 'low' });
  await submit(friend, theirs);
  expect(await outcomeOf(friend, theirs.task)).toMatchObject({ state: 'done' });
  expect((await node.ask('hello')).at(-1)).toMatchObject({ type: 'answer' });
  expect(states().map(({ state }) => state)).toEqual(['queued', 'queued', 'running', 'running']);
});

test('thousands of watches of one peer are bounded, and another peer is answered meanwhile', async () => {
  await using net = await openRogues();
  const { rogue, rogueId, friend, friendId } = net;
  const task = draft([rogueId], { text: 'hang' });
  await submit(rogue, task);
  const stop = new AbortController();
  let busy = 0;
  const watches = Array.from({ length: 3_000 }, () =>
    rogue.call(tasksWatch, { task: task.task, after: 0 }, { signal: stop.signal }).catch((thrown: unknown) => {
      const error = SkeinError.from(thrown);
      if (error.code === 'busy') busy += 1;
      return error;
    }),
  );
  const theirs = draft([friendId]);
  await submit(friend, theirs);
  expect(await outcomeOf(friend, theirs.task)).toMatchObject({ state: 'done' });
  await expect.poll(() => busy, { timeout: 10_000 }).toBeGreaterThanOrEqual(3_000 - 1_024);
  stop.abort();
  const codes = (await Promise.all(watches)).map((end) => ('code' in end ? end.code : 'ended'));
  expect(new Set(codes)).toEqual(new Set(['busy', 'canceled']));
});

test('a call that must never be repeated waits for its sender’s word, which no flood of another peer takes away', async () => {
  await using net = await openRogues();
  const { node, rogue, rogueId, friend, friendId, nodes } = net;
  const marker = `${nodes.root}/node/touched`;
  const theirs = draft([friendId], { text: `touch ${marker}` });
  await submit(friend, theirs);
  const intent = Promise.withResolvers<string>();
  const outcome = friend.call(
    tasksWatch,
    { task: theirs.task, after: 0 },
    {
      timeoutMs: 30_000,
      onPart: async ({ event }) => {
        if (event.type === 'intent') intent.resolve(event.id);
      },
    },
  );
  const id = await intent.promise;
  const mine = draft([rogueId], { text: 'hang' });
  await submit(rogue, mine);
  expect(await rejection(rogue.call(tasksAcknowledge, { task: theirs.task, id }))).toMatchObject({ code: 'not-found' });
  for (let sent = 0; sent < 12_000; sent += 500) {
    const words = Array.from({ length: 500 }, (_, n) => rogue.call(tasksAcknowledge, { task: mine.task, id: `x${sent + n}` }));
    await Promise.all(words);
  }
  expect(existsSync(marker)).toBe(false);
  expect(node.host.backend.tasks().find(({ id: task }) => task === theirs.task)).toMatchObject({ state: 'running' });
  await friend.call(tasksAcknowledge, { task: theirs.task, id });
  expect(await outcome).toMatchObject({ state: 'done' });
  expect(existsSync(marker)).toBe(true);
});

test('an unacknowledged call does not run when its sender leaves, and its task ends', async () => {
  await using net = await openRogues();
  const { node, friend, friendId, nodes } = net;
  const marker = `${nodes.root}/node/touched`;
  const theirs = draft([friendId], { text: `touch ${marker}` });
  await submit(friend, theirs);
  const intents = () => node.host.backend.task(theirs.task).steps.filter(({ event }) => event.type === 'intent').length;
  await expect.poll(intents, { timeout: 10_000 }).toBe(1);
  friend.close('gone');
  await expect.poll(() => node.host.backend.task(theirs.task).state).toBe('canceled');
  expect(existsSync(marker)).toBe(false);
});
