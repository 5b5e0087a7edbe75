import { expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';

it('waits anything up to a bound that doubles from 250 ms and stays at 30 s, however many tries there were', () => {
  const most = [0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 5_000].map((attempt) => backoffMs(attempt, () => 1));
  expect(most).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
  expect(backoffMs(9, () => 0)).toBe(0);
});

it('spreads those who lost the same hub evenly: no tenth of the time has twice its share', () => {
  const tenths = Array<number>(10).fill(0);
  for (let client = 0; client < 20_000; client += 1) {
    const tenth = Math.floor(backoffMs(7, Math.random) / 3_000);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  expect(Math.max(...tenths)).toBeLessThan(4_000);
});
