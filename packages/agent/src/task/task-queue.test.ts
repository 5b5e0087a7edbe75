import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ME, PEERS } from '../../test/test-tasks.ts';
import type { TaskInfo } from './task.ts';
import { type QueuedTask, TaskQueue } from './task-queue.ts';

const task = (place: number, sender: number, session: number, priority: TaskInfo['priority']): QueuedTask => {
  const origin = PEERS[sender] ?? ME;
  const times = { acceptedAtMs: 0, updatedAtMs: 0, deadlineAtMs: 0 };
  const state = { attempt: 1, state: 'queued', owner: 'me', tokens: 0, title: '' } as const;
  const info = { origin, sender: origin, path: [origin], id: `${place}`, session: `${session}`, priority, ...times, ...state };
  const failed = { tried: [], failure: undefined, failedMs: undefined };
  return { key: `${place}`, info, place, sinceMs: 0, deadlineMs: 0, begunBy: undefined, ...failed };
};

const tasks = fc
  .array(
    fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.constantFrom('urgent' as const, 'normal' as const, 'low' as const)),
    {
      maxLength: 40,
    },
  )
  .map((all) => all.map((one, place) => task(place, ...one)));

test('takes every task once, each conversation in order and one at a time, and forgets all when it is empty', () => {
  fc.assert(
    fc.property(tasks, fc.array(fc.nat(), { maxLength: 200 }), (all, choices) => {
      const queue = new TaskQueue();
      for (const one of all) queue.add(one);
      const running: QueuedTask[] = [];
      const taken: QueuedTask[] = [];
      for (let step = 0; queue.size > 0 || running.length > 0; step += 1) {
        const next = queue.next(new Set(), 0);
        if (next !== undefined && (choices[step] ?? 0) % 2 === 0) {
          const same = ({ info }: QueuedTask) => info.origin === next.info.origin && info.session === next.info.session;
          expect(running.some(same)).toBe(false);
          expect(taken.filter(same).every(({ place }) => place < next.place)).toBe(true);
          queue.take(next);
          running.push(next);
          taken.push(next);
        } else {
          const [ended] = running.splice((choices[step] ?? 0) % Math.max(1, running.length), 1);
          if (ended !== undefined) queue.done(ended);
          else expect(next).toBeDefined();
        }
        if (step > 400) expect.fail('it does not come to an end');
      }
      expect(new Set(taken).size).toBe(all.length);
      expect(queue.next(new Set(), 0)).toBeUndefined();
    }),
  );
});

test('gives each sender that waits its turn, whatever the others hand over', () => {
  const queue = new TaskQueue();
  for (let n = 0; n < 300; n += 1) queue.add(task(n, 0, n, 'urgent'));
  const take = () => {
    const next = queue.next(new Set(), 0) ?? expect.fail();
    queue.take(next);
    queue.done(next);
    return next.info.sender;
  };
  for (let n = 0; n < 100; n += 1) take();
  for (let n = 300; n < 320; n += 1) for (const sender of [1, 2]) queue.add(task(n * 10 + sender, sender, n, 'low'));
  const counts = Map.groupBy(Array.from({ length: 60 }, take), (sender) => sender);
  expect([...counts.values()].map(({ length }) => length)).toEqual([20, 20, 20]);
});

test('steps over those that are to be skipped, and takes one out that is not the next', () => {
  const queue = new TaskQueue();
  for (let n = 0; n < 5; n += 1) queue.add(task(n, 0, n, 'normal'));
  expect(queue.next(new Set(['0', '1']), 0)?.key).toBe('2');
  expect(queue.remove('2')?.key).toBe('2');
  expect(queue.remove('2')).toBeUndefined();
  expect(queue.next(new Set(['0', '1']), 0)?.key).toBe('3');
  expect(queue.size).toBe(4);
});

test('counts those that wait by who handed them over, and lets no claimed origin hold up another conversation', () => {
  const queue = new TaskQueue();
  const own = task(2, 0, 0, 'normal');
  const claimed = { ...task(1, 0, 0, 'normal'), info: { ...own.info, id: '1', sender: PEERS[1] ?? ME } };
  for (const one of [claimed, own]) queue.add(one);
  expect([queue.waitingOf(own.info.sender), queue.waitingOf(claimed.info.sender)]).toEqual([1, 1]);
  queue.take(claimed);
  expect(queue.next(new Set(), 0)).toBe(own);
  queue.remove(own.key);
  expect([queue.waitingOf(own.info.sender), queue.waitingOf(claimed.info.sender)]).toEqual([0, 0]);
});
