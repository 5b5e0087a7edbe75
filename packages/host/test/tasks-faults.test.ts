import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TaskSummary } from '@skein/gateway';
import { type LlmServer, type LlmTurn, measured, sized, sizedTimeout, startLlmServer } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { type SkeinNode, SkeinNodes, until } from './faults/skein-node.ts';

const FINAL: readonly string[] = ['done', 'failed', 'canceled', 'unknown'];
const HANG: LlmTurn = { fault: { type: 'hang', afterEvents: 0 } };

interface Pair extends AsyncDisposable {
  /** Has no brain of its own: all its tasks are the worker's. */
  readonly origin: SkeinNode;
  readonly worker: SkeinNode;
  readonly llm: LlmServer;
  /** How often the tool took effect. */
  effects(): number;
}

/**
 * Two `skein start`s. Asked to "act", the model calls a tool that must never be repeated: it adds a line to a file and, for
 * "act slowly", runs on; then the model answers, or as long as `stuck` says it never does.
 */
async function startPair(stuck: { now: boolean }): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new SkeinNodes());
  const file = path.join(nodes.root, 'effects');
  const script = ({ body, last }: { readonly body: Readonly<Record<string, unknown>>; readonly last: string }): LlmTurn => {
    if (!last.startsWith('act')) return stuck.now ? HANG : { text: `Done after ${JSON.stringify(body).length}.` };
    const command = `echo effect >> ${file}${last.includes('slowly') ? '; sleep 60' : ''}`;
    return { toolCalls: [{ name: 'shell_exec', input: { command } }] };
  };
  const llm = stack.use(await startLlmServer({ script }));
  const worker = nodes.make('worker', {
    brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
    tools: { shell: { allow: ['*'], allowShell: true } },
    net: { share: { tools: true } },
  });
  const origin = nodes.make('origin', { brain: { provider: 'none' }, net: { brainSource: 'worker' } });
  worker.trusts([origin, { trust: 'tool', allowBrain: true }]);
  await worker.start();
  origin.trusts([worker, { trust: 'tool', url: worker.url }]);
  await origin.start();
  await untilWilling(origin);
  const kept = stack.move();
  return {
    ...{ origin, worker, llm },
    effects: () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The origin's one task. */
async function taskOf(node: SkeinNode): Promise<TaskSummary | undefined> {
  return (await node.client.tasks())[0];
}

const untilWilling = (node: SkeinNode) =>
  until('its peer lets it use its brain', async () => ((await node.client.peers())[0]?.brain ?? null) !== null);

const untilState = (node: SkeinNode, state: string) =>
  until(`the task of ${node.name} is ${state}`, async () => {
    const task = await taskOf(node);
    const ended = task !== undefined && FINAL.includes(task.state);
    if (ended && task.state !== state) throw new Error(`It is ${JSON.stringify((await node.client.task(task.id)).outcome)}`);
    return task?.state === state;
  });

/** Asks and leaves the answer alone: whoever asked may be gone by then. */
function askAside({ origin }: Pair, text: string): Promise<unknown> {
  return origin.ask(text).catch((error: unknown) => error);
}

/** The model was asked for what comes after the tool: the step with its result is on both disks, or soon will be. */
async function untilActed({ llm, origin }: Pair): Promise<void> {
  await llm.nextRequest();
  await llm.nextRequest();
  const steps = async () => {
    const task = await taskOf(origin);
    const kept = task === undefined ? [] : (await origin.client.task(task.id)).steps;
    return JSON.stringify(kept.map(({ event }) => event)).includes('"role":"tool"');
  };
  await until('the step is with the origin', steps);
}

/** What the tests that kill do, over and over. */
const KILLING = { repeats: sized({ ci: 0, full: 39 }) };

/** Kills these nodes at once. */
async function kill(...nodes: readonly SkeinNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()));
  measured('kills', { counts: { kills: nodes.length } });
}

describe.concurrent('a delegated task, and a process of it that dies', {
  timeout: sizedTimeout({ ci: 110_000, full: 600_000 }),
}, () => {
  test('the worker dies while it thinks: the task waits for it, goes on from its steps, and acted once', KILLING, async () => {
    const stuck = { now: true };
    await using pair = await startPair(stuck);
    const { origin, worker } = pair;
    const asked = pair.origin.ask('act');
    await untilActed(pair);
    await kill(worker);
    await untilState(origin, 'queued');
    stuck.now = false;
    await worker.start();
    expect(await asked).toMatchObject({ type: 'answer', text: expect.stringContaining('Done') });
    expect(await taskOf(origin)).toMatchObject({ state: 'done', attempt: 2 });
    expect(pair.effects()).toBe(1);
  });

  test('the worker dies while a tool runs that must never be repeated: at once unknown, and so it stays', KILLING, async () => {
    await using pair = await startPair({ now: false });
    const { origin, worker } = pair;
    const asked = pair.origin.ask('act slowly');
    await until('the tool has begun', () => pair.effects() === 1);
    const killedAtMs = performance.now();
    await kill(worker);
    expect(await asked).toMatchObject({ type: 'error', message: expect.stringContaining('nobody knows whether') });
    expect(performance.now() - killedAtMs).toBeLessThan(3_000);
    await worker.start();
    // Both have met again, and the worker does other work.
    await untilWilling(origin);
    expect(await origin.ask('something else', 'other')).toMatchObject({ type: 'answer' });
    const states = (await origin.client.tasks()).map(({ state }) => state);
    expect(states).toEqual(['done', 'unknown']);
    expect((await worker.client.tasks()).map(({ state }) => state)).toEqual(['done', 'unknown']);
    expect(pair.effects()).toBe(1);
  });

  test('the origin dies: the worker stops, and the task goes on where it was when the origin is back', KILLING, async () => {
    const stuck = { now: true };
    await using pair = await startPair(stuck);
    const { origin, worker } = pair;
    const aside = askAside(pair, 'act');
    await untilActed(pair);
    await kill(origin);
    await aside;
    await untilState(worker, 'canceled');
    stuck.now = false;
    await origin.start();
    await untilState(origin, 'done');
    expect((await origin.client.history('test')).map(({ role }) => role)).toEqual(['user', 'assistant']);
    expect(pair.effects()).toBe(1);
  });

  test('both die; the task waits on the origin’s disk for the worker, and goes out when that is back', KILLING, async () => {
    const stuck = { now: true };
    await using pair = await startPair(stuck);
    const { origin, worker } = pair;
    const aside = askAside(pair, 'act');
    await untilActed(pair);
    await kill(origin, worker);
    await aside;
    stuck.now = false;
    await origin.start();
    expect((await taskOf(origin))?.state).toMatch(/queued|forwarded/);
    await worker.start();
    await untilState(origin, 'done');
    expect(pair.effects()).toBe(1);
  });

  test('the worker is held still for 20 s: its session ends, and when it goes on the task is done, and acted once', async () => {
    const stuck = { now: true };
    await using pair = await startPair(stuck);
    const { origin, worker } = pair;
    const asked = pair.origin.ask('act');
    await untilActed(pair);
    const seen = origin.events.length;
    const frozenAtMs = performance.now();
    worker.freeze();
    await origin.event(({ type }) => type === 'peer-left', seen);
    expect(performance.now() - frozenAtMs).toBeLessThan(16_000);
    stuck.now = false;
    await until('20 s are over', () => performance.now() - frozenAtMs > 20_000);
    worker.thaw();
    expect(await asked).toMatchObject({ type: 'answer', text: expect.stringContaining('Done') });
    expect(await taskOf(origin)).toMatchObject({ state: 'done' });
    expect(pair.effects()).toBe(1);
  });
});
