import { expect, test } from 'vitest';
import { Sparingly } from './sparingly.ts';

test('so many a minute are let through, and the next one tells how many were left out', () => {
  let nowMs = 0;
  const sparingly = new Sparingly({ maxPerMinute: 2, monotonicMs: () => nowMs });
  const admit = (times: number) => Array.from({ length: times }, () => sparingly.admit());
  expect(admit(5)).toEqual([0, 0, undefined, undefined, undefined]);
  nowMs = 59_999;
  expect(admit(1)).toEqual([undefined]);
  nowMs = 60_000;
  expect(admit(3)).toEqual([4, 0, undefined]);
});
