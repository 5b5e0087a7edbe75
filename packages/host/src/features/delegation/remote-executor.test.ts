import { randomUUID } from 'node:crypto';
import type { Task, TaskExecutor } from '@skein/agent';
import { SkeinError, type TaskEvent, tasksAcknowledge, tasksCancel, tasksSubmit, tasksWatch } from '@skein/protocol';
import { rejection, TestNetwork, type TestNode, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { RemoteExecutor } from './remote-executor.ts';

const REMAINING_MS = 60_000;

/** A node that hands over its one task, in a time that only the test moves. */
async function startOrigin() {
  const clock = new VirtualClock();
  const net = new TestNetwork(clock);
  const [origin, worker] = [net.add('origin'), net.add('worker')];
  const peer = await origin.dial(worker);
  const after = (ms: number, fire: () => void) => clock.after(ms, fire);
  const executor = new RemoteExecutor({ self: origin.identity.id, peer, after, onBusy: () => {} });
  const kept: TaskEvent[] = [];
  const run = (signal = new AbortController().signal) =>
    executor.run(taskOf(origin), {
      emit: async (event) => void kept.push(event),
      meter: (brain) => brain,
      signal,
      steps: [],
      remainingMs: REMAINING_MS,
    } satisfies Parameters<TaskExecutor['run']>[1]);
  return { clock, worker, kept, run, [Symbol.asyncDispose]: () => net[Symbol.asyncDispose]() };
}

function taskOf({ identity }: TestNode): Task {
  return {
    origin: identity.id,
    id: randomUUID(),
    attempt: 1,
    state: 'forwarded',
    owner: 'me',
    session: 'test',
    priority: 'normal',
    acceptedAtMs: 0,
    updatedAtMs: 0,
    deadlineAtMs: REMAINING_MS,
    tokens: 0,
    title: 'act',
    path: [identity.id],
    sender: identity.id,
    text: 'act',
    interactive: false,
    history: [],
  };
}

test('a node that lives and does not say that it accepts a task is told to let go of it before another has it', async () => {
  await using net = await startOrigin();
  const canceled: string[] = [];
  const submitted = Promise.withResolvers<string>();
  net.worker.router.serve(tasksSubmit, ({ task }) => {
    submitted.resolve(task);
    return new Promise(() => {});
  });
  net.worker.router.serve(tasksCancel, ({ task }) => {
    canceled.push(task);
    return { state: 'canceled' };
  });
  const refused = rejection(net.run());
  const task = await submitted.promise;
  await net.clock.advance(21_000);
  expect(await refused).toMatchObject({ code: 'unavailable' });
  expect(canceled).toEqual([task]);
});

test('a slow line on which a node is told to go on makes no call of which nobody knows the end', async () => {
  await using net = await startOrigin();
  const { clock, worker } = net;
  const told = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<void>();
  worker.router.serve(tasksSubmit, () => ({ state: 'queued' as const }));
  worker.router.serve(tasksAcknowledge, async () => {
    clock.after(14_000, heard.resolve);
    told.resolve();
    await heard.promise;
    return {};
  });
  worker.router.serve(tasksWatch, async (_params, context) => {
    await context.emit({ seq: 1, event: { type: 'intent', id: 'call', name: 'pay' } });
    await heard.promise;
    return { state: 'done' as const, text: 'Paid.', toolCalls: [], tokens: 0 };
  });
  const outcome = net.run();
  await Promise.race([told.promise, outcome]);
  await clock.advance(14_000);
  expect(await outcome).toMatchObject({ state: 'done', text: 'Paid.' });
  expect(net.kept).toMatchObject([{ type: 'intent', name: 'pay' }]);
});

test('a node that has no room has not taken the task', async () => {
  await using net = await startOrigin();
  net.worker.router.serve(tasksSubmit, () => {
    throw new SkeinError('4 tasks wait here already', { code: 'busy', retryAfterMs: 1_000 });
  });
  expect(await rejection(net.run())).toMatchObject({ code: 'busy', message: expect.stringContaining('4 tasks wait here') });
});

test('a node that has taken the task, and then is not what it seemed, lets go of it before another has it', async () => {
  await using net = await startOrigin();
  const canceled: string[] = [];
  net.worker.router.serve(tasksSubmit, () => ({ state: 'queued' as const }));
  net.worker.router.serve(tasksCancel, ({ task }) => {
    canceled.push(task);
    return { state: 'canceled' };
  });
  net.worker.router.serve(tasksWatch, () => {
    throw new SkeinError('More than 10 messages a second', { code: 'busy', retryAfterMs: 1_000 });
  });
  expect(await rejection(net.run())).toMatchObject({ code: 'unavailable' });
  expect(canceled).toHaveLength(1);
});

test('a node that has no time to hear that a task is canceled is told again', async () => {
  await using net = await startOrigin();
  const stop = new AbortController();
  let told = 0;
  net.worker.router.serve(tasksSubmit, () => ({ state: 'queued' as const }));
  net.worker.router.serve(tasksWatch, () => {
    stop.abort(new SkeinError('The task was canceled', { code: 'canceled' }));
    return new Promise(() => {});
  });
  net.worker.router.serve(tasksCancel, () => {
    told += 1;
    if (told > 1) return { state: 'canceled' as const };
    throw new SkeinError('This node is short of memory', { code: 'busy', retryAfterMs: 2_000 });
  });
  const ended = rejection(net.run(stop.signal));
  for (let ms = 0; ms < 4_000; ms += 500) await net.clock.advance(500);
  expect(await ended).toMatchObject({ code: 'canceled' });
  expect(told).toBe(2);
});
