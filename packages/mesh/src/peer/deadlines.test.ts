import { VirtualClock } from '@skein/testing';
import { expect, it } from 'vitest';
import type { Clock } from '../clock.ts';
import { Deadlines } from './deadlines.ts';

it('a thousand calls that end in time cost one timer', async () => {
  const clock = new VirtualClock();
  let timers = 0;
  const counting: Clock = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    after(ms, fire) {
      timers += 1;
      return clock.after(ms, fire);
    },
  };
  const deadlines = new Deadlines(counting, () => Number.POSITIVE_INFINITY);
  for (let call = 0; call < 1_000; call += 1) deadlines.add(60_000 + call);
  expect(timers).toBe(1);
});

it('each deadline is swept at its time, whatever the order they were added in', async () => {
  const clock = new VirtualClock();
  const due = new Set([500, 100, 300, 100.5, 2_000]);
  const swept: number[] = [];
  const deadlines = new Deadlines(clock, (nowMs) => {
    for (const atMs of due) {
      if (atMs > nowMs) continue;
      due.delete(atMs);
      swept.push(nowMs - atMs);
    }
    return Math.min(...due);
  });
  for (const atMs of due) deadlines.add(atMs);
  await clock.advance(5_000);
  expect(swept.length).toBe(5);
  expect(Math.max(...swept)).toBeLessThanOrEqual(1);
});

it('nothing is swept once it is closed, and nothing can be added any more', async () => {
  const clock = new VirtualClock();
  let sweeps = 0;
  const deadlines = new Deadlines(clock, () => {
    sweeps += 1;
    return Number.POSITIVE_INFINITY;
  });
  deadlines.add(100);
  deadlines.close();
  deadlines.add(50);
  await clock.advance(1_000);
  expect(sweeps).toBe(0);
});
