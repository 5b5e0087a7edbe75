import { expect, test } from 'vitest';
import { clockDate, clockTime } from './clock-time.ts';

test('a time is told with 24 hours, and padded', () => {
  const at = new Date(2026, 2, 1, 14, 5, 9).getTime();
  expect(clockTime(at)).toBe('14:05:09');
  expect(clockTime(new Date(2026, 2, 1, 0, 0, 0).getTime())).toBe('00:00:00');
  expect(clockDate(at)).toBe('2026-03-01 14:05:09');
});
