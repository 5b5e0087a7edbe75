import { taskId } from '@skein/protocol';
import { expect, test } from 'vitest';
import { scheduledTaskId, schedulesOf } from './schedule.ts';
import { heartbeatConfig, schedulesConfig } from './schedule-config.ts';

const off = heartbeatConfig.parse({});

test.for([
  [{ name: 'a', text: 't' }, 'either "cron" or "everyMinutes"'],
  [{ name: 'a', text: 't', cron: '0 8 * * *', everyMinutes: 5 }, 'either "cron" or "everyMinutes"'],
  [{ name: 'a', text: 't', cron: '61 * * * *' }, '61'],
  [{ name: 'a', text: 't', cron: '2026-01-01T00:00:00' }, 'five fields'],
  [{ name: 'a', text: 't', cron: '* * * * * *' }, ''],
  [{ name: 'a', text: 't', cron: '0 8 * * *', timeZone: 'Mars/Olympus' }, 'time zone'],
  [{ name: 'a', text: 't', everyMinutes: 0 }, ''],
  [{ name: 'heartbeat', text: 't', everyMinutes: 5 }, 'another schedule'],
  [{ name: 'a b', text: 't', everyMinutes: 5 }, ''],
  [{ name: 'a', text: '', everyMinutes: 5 }, ''],
  [{ name: 'a', text: 't', everyMinutes: 5, until: 1 }, 'until'],
] as const)('is refused, with the reason: %j', ([entry, reason]) => {
  const parsed = schedulesConfig.safeParse([entry]);
  expect(parsed.success).toBe(false);
  expect(JSON.stringify(parsed.error?.issues)).toContain(JSON.stringify(reason).slice(1, -1));
});

test('two schedules of one name are refused', () => {
  const entry = { name: 'a', text: 't', everyMinutes: 5 };
  expect(schedulesConfig.safeParse([entry, entry]).success).toBe(false);
});

test('a schedule is the same on every node where name and rule are, whatever else differs', () => {
  const idOf = (entry: object) => schedulesOf({ heartbeat: off, schedules: schedulesConfig.parse([entry]) })[0]?.id;
  const base = { name: 'a', text: 't', cron: '0 8 * * *' };
  expect(idOf({ ...base, text: 'other', cron: ' 0  8 * * * ' })).toBe(idOf(base));
  expect(idOf({ ...base, timeZone: 'Europe/Berlin' })).not.toBe(idOf(base));
  expect(idOf({ ...base, name: 'b' })).not.toBe(idOf(base));
});

test('the heartbeat is a schedule when it is enabled, by its pattern or else its interval', () => {
  expect(schedulesOf({ heartbeat: off, schedules: [] })).toEqual([]);
  const rules = [{}, { cron: '5 * * * *' }].map(
    (more) => schedulesOf({ heartbeat: heartbeatConfig.parse({ enabled: true, ...more }), schedules: [] })[0]?.rule,
  );
  expect(rules).toEqual([
    { type: 'every', minutes: 30 },
    { type: 'cron', pattern: '5 * * * *', timeZone: 'UTC' },
  ]);
});

test('a run has one task id wherever it begins, and is a UUID', () => {
  const id = scheduledTaskId('ab', 60_000);
  expect(taskId.safeParse(id).success).toBe(true);
  expect(scheduledTaskId('ab', 60_000)).toBe(id);
  expect(scheduledTaskId('ab', 120_000)).not.toBe(id);
});
