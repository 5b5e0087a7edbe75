import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parsePeerId } from '@skein/protocol';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { DueTimes } from './due-times.ts';
import { scheduledTaskId, schedulesOf } from './schedule.ts';
import { heartbeatConfig, schedulesConfig } from './schedule-config.ts';

const FILE = fileURLToPath(new URL('../../../protocol/vectors/leaders.json', import.meta.url));
const rule = z.discriminatedUnion('type', [
  z.object({ type: z.literal('cron'), pattern: z.string(), timeZone: z.string() }),
  z.object({ type: z.literal('every'), minutes: z.int() }),
]);
const { schedules, due } = z
  .object({
    due: z.array(z.object({ why: z.string(), rule, after: z.string(), until: z.string(), due: z.array(z.string()) })).min(1),
    schedules: z
      .array(
        z.object({
          name: z.string(),
          rule,
          id: z.string(),
          runs: z.array(z.object({ dueMs: z.int(), node: z.string().nullable(), task: z.string() })).min(1),
        }),
      )
      .min(1),
  })
  .parse(JSON.parse(readFileSync(FILE, 'utf8')));

/** As a configuration has it. */
function configured(name: string, { type, ...when }: z.infer<typeof rule>) {
  const heartbeat = heartbeatConfig.parse({ enabled: name === 'heartbeat' });
  const entry = 'minutes' in when ? { everyMinutes: when.minutes } : { cron: when.pattern, timeZone: when.timeZone };
  const entries = name === 'heartbeat' ? [] : [{ name, text: 'anything', ...entry }];
  return schedulesOf({ heartbeat, schedules: schedulesConfig.parse(entries) })[0];
}

test.each(schedules)('$name ($rule.type) has the id of the vectors, and so have its tasks', ({ name, rule, id, runs }) => {
  expect(configured(name, rule)).toMatchObject({ id, rule });
  for (const { dueMs, node, task } of runs) {
    expect(scheduledTaskId(id, dueMs, node === null ? undefined : parsePeerId(node))).toBe(task);
  }
});

test.each(due)('is due: $why', ({ rule, after, until, due }) => {
  const times = new DueTimes(rule);
  const endMs = Date.parse(until);
  const forwards: string[] = [];
  for (let at = times.next(Date.parse(after)); at !== undefined && at <= endMs; at = times.next(at)) {
    forwards.push(new Date(at).toISOString());
  }
  expect(forwards).toEqual(due);
  expect(new Date(times.latest(endMs) ?? 0).toISOString()).toBe(due.at(-1));
});

test('the vectors are what PROTOCOL.md says, computed by hand', () => {
  for (const { name, rule, id, runs } of schedules) {
    const json =
      rule.type === 'every'
        ? `{"type":"every","minutes":${rule.minutes}}`
        : `{"type":"cron","pattern":"${rule.pattern}","timeZone":"${rule.timeZone}"}`;
    const whole = createHash('sha256').update(`skein schedule 1\n${name}\n${json}\n`).digest('hex');
    expect(whole.startsWith(id)).toBe(true);
    for (const { dueMs, node, task } of runs) {
      const hash = createHash('sha256')
        .update(`skein scheduled task 1\n${id}\n${dueMs}\n${node ?? ''}\n`)
        .digest('hex');
      const variant = ((Number.parseInt(hash.slice(16, 17), 16) & 3) | 8).toString(16);
      const expected = `${hash.slice(0, 12)}8${hash.slice(13, 16)}${variant}${hash.slice(17, 32)}`;
      expect(task.replaceAll('-', '')).toBe(expected);
      expect(task).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  }
});
