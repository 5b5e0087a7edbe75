import { existsSync } from 'node:fs';
import path from 'node:path';
import type { TaskSummary } from '@skein/gateway';
import { type LlmRequest, type LlmServer, type LlmTurn, startLlmServer } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { type SkeinNode, SkeinNodes, until } from './faults/skein-node.ts';

/** Within this a task that is still wanted goes on when its worker is back, on a machine that has other things to do. */
const BACK_MS = 3_000;
const HANG: LlmTurn = { fault: { type: 'hang', afterEvents: 0 } };

/** A node that thinks for others with a model of its own, as long as `stuck` says so without an end. */
interface Worker {
  readonly node: SkeinNode;
  readonly llm: LlmServer;
  stuck: boolean;
  /** Whether a task of it took effect. */
  acted(): boolean;
}

class Net implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly nodes = this.#stack.use(new SkeinNodes());

  /** Asked to "write", its model writes a file; asked to "run", it does so with a tool that must never be repeated. */
  async worker(name: string, { net, ...config }: ConfigInput = {}): Promise<Worker> {
    const script = ({ last }: LlmRequest): LlmTurn => {
      if (!/^(write|run)$/.test(last)) return { text: `Heard ${last}` };
      if (worker.stuck) return HANG;
      const run = { name: 'shell_exec', input: { argv: ['touch', 'effect'] } };
      return { toolCalls: [last === 'run' ? run : { name: 'write_file', input: { path: 'effect', content: 'x' } }] };
    };
    const llm = this.#stack.use(await startLlmServer({ script }));
    const node = this.nodes.make(name, {
      brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
      tools: { enabled: ['write_file', 'shell_exec'], shell: { allow: ['touch *'] } },
      ...config,
      net: { share: { tools: true }, ...net },
    });
    const effect = path.join(this.nodes.root, name, 'effect');
    const worker: Worker = { node, llm, stuck: true, acted: () => existsSync(effect) };
    return worker;
  }

  /** Has no brain: its tasks are its workers'. Starts all. */
  async origin(workers: readonly Worker[], net: ConfigInput['net'] = { brainSource: 'remote' }): Promise<SkeinNode> {
    const origin = this.nodes.make('origin', { brain: { provider: 'none' }, net });
    for (const { node } of workers) {
      node.trusts([origin, { trust: 'tool', allowBrain: true }]);
      await node.start();
    }
    origin.trusts(...workers.map(({ node }) => [node, { trust: 'tool', url: node.url }] as const));
    await origin.start();
    await untilWilling(origin, workers.length);
    return origin;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

const untilWilling = (node: SkeinNode, count = 1) =>
  until(`${count} let ${node.name} use their brains`, async () => {
    const peers = await node.client.peers();
    return peers.filter(({ brain }) => brain !== null).length === count;
  });

const taskIn = async (node: SkeinNode, session: string): Promise<TaskSummary | undefined> =>
  (await node.client.tasks()).find((task) => task.session === session);

const untilState = (node: SkeinNode, session: string, state: TaskSummary['state']) =>
  until(`${session} is ${state} for ${node.name}`, async () => (await taskIn(node, session))?.state === state);

/** Asks, and resolves when the worker thinks about it. */
async function askUntilThought(origin: SkeinNode, worker: Worker, text: string) {
  const answer = origin.ask(text, 'left');
  await worker.llm.nextRequest();
  await untilState(origin, 'left', 'forwarded');
  return { answer };
}

async function cancel(origin: SkeinNode): Promise<void> {
  const task = await taskIn(origin, 'left');
  expect(await origin.client.cancelTask(task?.id ?? '')).toBe('canceled');
}

/** The worker is back, has done other work, and did nothing of what it had before. */
async function expectUntouched(origin: SkeinNode, worker: Worker): Promise<void> {
  worker.stuck = false;
  const thoughts = worker.llm.count;
  await worker.node.start();
  await untilWilling(origin);
  const startedMs = performance.now();
  expect(await origin.ask('something else', 'other')).toMatchObject({ type: 'answer', text: 'Heard something else' });
  expect(performance.now() - startedMs).toBeLessThan(BACK_MS);
  expect(worker.llm.count - thoughts).toBe(1);
  expect(await taskIn(worker.node, 'left')).toMatchObject({ state: 'canceled' });
  expect(worker.acted()).toBe(false);
}

describe.concurrent('work for another node, when the process that did it died and is back', { timeout: 110_000 }, () => {
  test.for(['write', 'run'])('is not done once it was canceled meanwhile, and has no place any more: %s', async (text) => {
    await using net = new Net();
    // A peer has one place of these two.
    const worker = await net.worker('worker', { tasks: { concurrency: 2 } });
    const origin = await net.origin([worker]);
    const { answer } = await askUntilThought(origin, worker, text);
    await worker.node.kill();
    await untilState(origin, 'left', 'queued');
    await cancel(origin);
    expect(await answer).toMatchObject({ type: 'error', code: 'canceled' });
    await expectUntouched(origin, worker);
  });

  test('is not done once another node has done it', async () => {
    await using net = new Net();
    const first = await net.worker('first', { net: { role: 'coordinator' } });
    const second = await net.worker('second');
    second.stuck = false;
    const origin = await net.origin([first, second]);
    const { answer } = await askUntilThought(origin, first, 'write');
    await first.node.kill();
    expect(await answer).toMatchObject({ type: 'answer' });
    expect(second.acted()).toBe(true);
    await second.node.kill();
    await untilWilling(origin, 0);
    await expectUntouched(origin, first);
  });

  test('goes on at once when it is still wanted, and when whoever asked has died as well', async () => {
    await using net = new Net();
    const worker = await net.worker('worker');
    const origin = await net.origin([worker]);
    const { answer } = await askUntilThought(origin, worker, 'write');
    const aside = answer.catch((error: unknown) => error);
    await worker.node.kill();
    await untilState(origin, 'left', 'queued');
    await worker.node.start();
    await untilWilling(origin);
    await worker.llm.nextRequest();
    expect(await taskIn(origin, 'left')).toMatchObject({ state: 'forwarded', attempt: 2 });
    await Promise.all([worker.node.kill(), origin.kill()]);
    await aside;
    worker.stuck = false;
    await worker.node.start();
    expect(await taskIn(worker.node, 'left')).toMatchObject({ state: 'canceled' });
    await origin.start();
    await untilWilling(origin);
    const backMs = performance.now();
    await untilState(origin, 'left', 'done');
    expect(performance.now() - backMs).toBeLessThan(BACK_MS);
    expect(worker.acted()).toBe(true);
  });

  test('goes on after whoever asked was stopped and started again', async () => {
    await using net = new Net();
    const worker = await net.worker('worker');
    const origin = await net.origin([worker]);
    const { answer } = await askUntilThought(origin, worker, 'write');
    const aside = answer.catch((error: unknown) => error);
    await origin.stop();
    await aside;
    await untilState(worker.node, 'left', 'canceled');
    worker.stuck = false;
    await origin.start();
    await untilState(origin, 'left', 'done');
    expect(worker.acted()).toBe(true);
  });

  test('across a node between them, is done where it is wanted and nowhere else', async () => {
    await using net = new Net();
    const worker = await net.worker('worker');
    const middle = await net.worker('middle', { net: { brainSource: 'worker' } });
    const origin = net.nodes.make('origin', { brain: { provider: 'none' }, net: { brainSource: 'remote' } });
    // Whoever asks may have the tools there, but meets only the one between.
    worker.node.trusts([middle.node, { trust: 'tool', allowBrain: true }], [origin, { trust: 'tool' }]);
    await worker.node.start();
    middle.node.trusts([worker.node, { trust: 'tool', url: worker.node.url }], [origin, { trust: 'tool', allowBrain: true }]);
    await middle.node.start();
    await untilWilling(middle.node);
    origin.trusts([middle.node, { trust: 'tool', url: middle.node.url }]);
    await origin.start();
    await untilWilling(origin);

    const { answer } = await askUntilThought(origin, worker, 'write');
    await middle.node.kill();
    await untilState(worker.node, 'left', 'canceled');
    await untilState(origin, 'left', 'queued');
    await cancel(origin);
    expect(await answer).toMatchObject({ code: 'canceled' });
    const thoughts = worker.llm.count;
    worker.stuck = false;
    await middle.node.start();
    await untilWilling(middle.node);
    await untilWilling(origin);
    expect(await origin.ask('something else', 'other')).toMatchObject({ text: 'Heard something else' });
    expect(await taskIn(middle.node, 'left')).toMatchObject({ state: 'canceled' });
    expect([worker.llm.count - thoughts, worker.acted(), middle.acted()]).toEqual([1, false, false]);

    // The same again, and it is still wanted.
    worker.stuck = true;
    const wanted = origin.ask('write', 'wanted');
    await until('the worker thinks', async () => (await taskIn(worker.node, 'wanted'))?.state === 'running');
    await middle.node.kill();
    await untilState(origin, 'wanted', 'queued');
    worker.stuck = false;
    middle.stuck = false;
    await middle.node.start();
    expect(await wanted).toMatchObject({ type: 'answer' });
    expect(worker.acted() || middle.acted()).toBe(true);
  });
});
