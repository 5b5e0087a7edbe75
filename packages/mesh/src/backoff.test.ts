import { expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';

it('waits anything up to as long as it lasts already, at least 250 ms and at most 30 s', () => {
  const most = [0, 200, 250, 1_300, 29_999, 30_001, 86_400_000].map((awayMs) => backoffMs(awayMs, () => 1));
  expect(most).toEqual([250, 250, 250, 1_300, 29_999, 30_000, 30_000]);
  expect(backoffMs(5_000, () => 0)).toBe(0);
});

it('spreads those who lost the same hub evenly: no tenth of the time has twice its share', () => {
  const tenths = Array<number>(10).fill(0);
  for (let client = 0; client < 20_000; client += 1) {
    const tenth = Math.floor(backoffMs(60_000, Math.random) / 3_000);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  expect(Math.max(...tenths)).toBeLessThan(4_000);
});
