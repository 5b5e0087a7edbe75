import { createHash } from 'node:crypto';
import type { PeerId, TaskPriority } from '@skein/protocol';
import { type CatchUp, HEARTBEAT_NAME, type HeartbeatConfig, type SchedulesConfig } from './schedule-config.ts';

export type ScheduleRule =
  | { readonly type: 'cron'; readonly pattern: string; readonly timeZone: string }
  | { readonly type: 'every'; readonly minutes: number };

/** Something the agent is asked again and again. */
export interface Schedule {
  /** The same on every node on which name and rule are the same. */
  readonly id: string;
  readonly name: string;
  readonly rule: ScheduleRule;
  readonly text: string;
  readonly session: string;
  readonly catchUp: CatchUp;
  readonly priority: TaskPriority;
  readonly runOnStart: boolean;
}

/** The schedules of a configuration, the heartbeat among them. */
export function schedulesOf(config: {
  readonly heartbeat: HeartbeatConfig;
  readonly schedules: SchedulesConfig;
}): readonly Schedule[] {
  const { heartbeat } = config;
  const schedules = config.schedules.map(({ cron, everyMinutes, timeZone, session, ...entry }): Schedule => {
    const rule = ruleOf(cron, everyMinutes, timeZone);
    return { ...entry, rule, id: idOf(entry.name, rule), session: session ?? sessionOf(entry.name), runOnStart: false };
  });
  if (!heartbeat.enabled) return schedules;
  const { cron, intervalMinutes, runOnStart, text } = heartbeat;
  const name = HEARTBEAT_NAME;
  const rule = ruleOf(cron, cron === undefined ? intervalMinutes : undefined, 'UTC');
  const beat: Schedule = {
    id: idOf(name, rule),
    name,
    rule,
    text,
    session: sessionOf(name),
    catchUp: 'skip',
    priority: 'low',
    runOnStart,
  };
  return [beat, ...schedules];
}

/** The task of a schedule at a due time: the same on every node, or with `node` that of one node. A UUID (RFC 9562, version 8). */
export function scheduledTaskId(schedule: string, dueMs: number, node?: PeerId): string {
  const hash = createHash('sha256')
    .update(`skein scheduled task 1\n${schedule}\n${dueMs}\n${node ?? ''}\n`)
    .digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** A rule in words. */
export function formatRule(rule: ScheduleRule): string {
  return rule.type === 'cron' ? `${rule.pattern} (${rule.timeZone})` : `every ${rule.minutes} min`;
}

function ruleOf(cron: string | undefined, everyMinutes: number | undefined, timeZone: string): ScheduleRule {
  return cron === undefined
    ? { type: 'every', minutes: everyMinutes ?? 30 }
    : { type: 'cron', pattern: cron.trim().replace(/\s+/g, ' '), timeZone };
}

function idOf(name: string, rule: ScheduleRule): string {
  return createHash('sha256')
    .update(`skein schedule 1\n${name}\n${JSON.stringify(rule)}\n`)
    .digest('hex')
    .slice(0, 32);
}

function sessionOf(name: string): string {
  return `schedule:${name}`;
}
