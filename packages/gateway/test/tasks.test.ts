import type { TaskDetail } from '@skein/gateway';
import { expect, test } from 'vitest';
import { startGateway } from './start-gateway.ts';

const task: TaskDetail = {
  id: '0f3c0000-0000-4000-8000-000000000001',
  origin: null,
  owner: null,
  state: 'failed',
  attempt: 1,
  title: 'look after the disks',
  session: 's',
  priority: 'normal',
  acceptedAtMs: 1,
  updatedAtMs: 2,
  deadlineAtMs: 3,
  tokens: 4,
  steps: [{ atMs: 1, attempt: 1, event: { type: 'intent', id: 'c', name: 'shell_exec' } }],
  outcome: { state: 'failed', toolCalls: [], error: { code: 'unavailable', message: 'gone' }, tokens: 4 },
};

test('tasks are listed, shown with their steps, canceled and taken up again', async () => {
  await using net = await startGateway({ backend: { tasks: [task] } });
  const { steps: _steps, outcome: _outcome, ...summary } = task;
  expect(await net.client.tasks()).toEqual([summary]);
  expect(await net.client.task(task.id)).toEqual(task);
  expect(await net.client.retryTask(task.id)).toBe('queued');
  expect(await net.client.cancelTask(task.id)).toBe('canceled');
  await expect(net.client.task('ffff')).rejects.toMatchObject({ code: 'not-found' });
});

test('the state of the network is who leads, the load and the schedules', async () => {
  const schedules = [{ name: 'report', when: '0 8 * * *', nextAtMs: 5, lastAtMs: null, lastRun: null }];
  const state = { load: { running: 1, queued: 2, capacity: 4 }, leader: null, schedules, needRestart: ['name'] };
  await using net = await startGateway({ backend: { net: state } });
  expect(await net.client.net()).toEqual(state);
});
