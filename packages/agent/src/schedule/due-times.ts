import { Cron } from 'croner';
import type { ScheduleRule } from './schedule.ts';

/** When a schedule is due, as epoch milliseconds. Summer time is the library's: no time comes twice, none is left out. */
export class DueTimes {
  readonly #cron: Cron | undefined;
  readonly #everyMs: number;

  constructor(rule: ScheduleRule) {
    this.#cron =
      rule.type === 'cron' ? new Cron(rule.pattern, { timezone: rule.timeZone, mode: '5-part', paused: true }) : undefined;
    this.#everyMs = rule.type === 'every' ? rule.minutes * 60_000 : 0;
  }

  /** The first due time after a moment; undefined when there is none any more. */
  next(afterMs: number): number | undefined {
    if (this.#cron === undefined) return (Math.floor(afterMs / this.#everyMs) + 1) * this.#everyMs;
    return this.#cron.nextRun(new Date(afterMs))?.getTime();
  }

  /** The last due time until a moment, that moment included; undefined when there was none. */
  latest(atMs: number): number | undefined {
    if (this.#cron === undefined) return Math.floor(atMs / this.#everyMs) * this.#everyMs;
    // The library looks for times before the one it is given, in whole seconds.
    return this.#cron
      .previousRuns(2, new Date(atMs + 1_000))
      .map((date) => date.getTime())
      .find((dueMs) => dueMs <= atMs);
  }
}
