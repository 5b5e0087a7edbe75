import { expect, test } from 'vitest';
import { DueTimes } from './due-times.ts';

const berlin = (pattern: string) => new DueTimes({ type: 'cron', pattern, timeZone: 'Europe/Berlin' });
const at = (text: string) => Date.parse(text);

/** Every due time from one moment to another, found going forwards. */
function between(times: DueTimes, fromMs: number, toMs: number): string[] {
  const found: string[] = [];
  for (let due = times.next(fromMs); due !== undefined && due <= toMs; due = times.next(due)) {
    found.push(new Date(due).toISOString());
  }
  return found;
}

test('a daily time that the spring leaves out is due once that day, at the first moment after it', () => {
  expect(between(berlin('30 2 * * *'), at('2026-03-28T03:00Z'), at('2026-03-30T03:00Z'))).toEqual([
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ]);
});

test('a daily time that the autumn has twice is due once that day', () => {
  expect(between(berlin('30 2 * * *'), at('2026-10-24T03:00Z'), at('2026-10-26T03:00Z'))).toEqual([
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ]);
});

test('a half-hourly time is due every half hour through both', () => {
  for (const day of ['2026-03-29', '2026-10-25']) {
    expect(between(berlin('*/30 * * * *'), at(`${day}T00:00Z`), at(`${day}T04:00Z`))).toHaveLength(8);
  }
});

test.for(['30 2 * * *', '*/30 * * * *', '0 8 * * 1-5', '15 1,2,3 * * *', '0 0 29 2 *'])(
  'looking back finds the times that looking forwards finds: %s',
  (pattern) => {
    const times = berlin(pattern);
    for (const from of ['2026-03-27T00:00Z', '2026-10-23T00:00Z', '2028-02-27T00:00Z']) {
      const forwards = between(times, at(from), at(from) + 4 * 86_400_000);
      for (let ms = at(from) + 3_600_000; ms < at(from) + 4 * 86_400_000; ms += 17 * 60_000) {
        const latest = times.latest(ms);
        const expected = forwards.filter((due) => at(due) <= ms).at(-1);
        if (expected !== undefined) expect(new Date(latest ?? 0).toISOString()).toBe(expected);
      }
      for (const due of forwards) expect(times.latest(at(due))).toBe(at(due));
    }
  },
);

test('an interval is counted from 1970, so that all nodes mean the same times', () => {
  const times = new DueTimes({ type: 'every', minutes: 7 });
  const due = times.next(at('2026-01-01T00:00Z'));
  expect((due ?? 1) % (7 * 60_000)).toBe(0);
  expect(times.latest(due ?? 0)).toBe(due);
  expect(times.latest((due ?? 0) - 1)).toBe((due ?? 0) - 7 * 60_000);
});

test('a pattern that is never due has no next time', () => {
  expect(berlin('0 0 30 2 *').next(0)).toBeUndefined();
  expect(berlin('0 0 30 2 *').latest(at('2026-01-01T00:00Z'))).toBeUndefined();
});
