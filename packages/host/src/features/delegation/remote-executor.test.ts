import { randomUUID } from 'node:crypto';
import type { Task, TaskExecutor } from '@skein/agent';
import { type TaskEvent, tasksAcknowledge, tasksCancel, tasksSubmit, tasksWatch } from '@skein/protocol';
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
  const executor = new RemoteExecutor({ self: origin.identity.id, peer, onBusy: () => {} });
  const kept: TaskEvent[] = [];
  const run = () =>
    executor.run(taskOf(origin), {
      emit: async (event) => void kept.push(event),
      meter: (brain) => brain,
      signal: new AbortController().signal,
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
