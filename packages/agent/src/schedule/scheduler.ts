import { type PeerId, SkeinError } from '@skein/protocol';
import type { TaskClock } from '../task/task.ts';
import { DueTimes } from './due-times.ts';
import { formatRule, type Schedule, scheduledTaskId } from './schedule.ts';
import type { ScheduleStore } from './schedule-store.ts';

/** The clock is looked at so often at least: it may have been set. */
const LOOK_MS = 30_000;
/** After a failure. */
const RETRY_MS = 5_000;
/** A run that begins within this after its time is not late. */
const LATE_MS = 60_000;
/** A run of this node that could not be begun for so long is given up. */
const OPEN_MAX_MS = 86_400_000;
/** A schedule dealt with further ahead than this was so under a clock that was wrong. */
const AHEAD_MAX_MS = 2 * 86_400_000;
/** How long after its start a node may still find out that it is the one for `runOnStart`. */
const START_MS = 300_000;

/** One run of a schedule. */
export interface ScheduledRun {
  readonly schedule: Schedule;
  readonly dueMs: number;
  /** The same for this run wherever it is begun. */
  readonly task: string;
}

/** A schedule as it is listed. */
export interface ScheduleInfo {
  readonly id: string;
  readonly name: string;
  readonly rule: string;
  readonly session: string;
  readonly catchUp: Schedule['catchUp'];
  /** Null when it never is again. */
  readonly nextDueMs: number | null;
  /** The last run that began on this node. */
  readonly lastDueMs: number | null;
  readonly lastTask: string | null;
  /** The last run that a node took on as its own, as far as this one knows: it alone begins it, and tells nobody how it went. */
  readonly lastClaim: { readonly dueMs: number; readonly owner: PeerId } | null;
  /** Whether this node would run it now. */
  readonly runsHere: boolean;
}

export interface SchedulerParts {
  readonly self: PeerId;
  readonly store: ScheduleStore;
  readonly clock: TaskClock;
  readonly schedules: readonly Schedule[];
  /** Each node runs all schedules for itself; otherwise the leader runs them for all. */
  readonly independent: boolean;
  readonly isLeading: () => boolean;
  /**
   * Finds out whose run it is: of all nodes that ask, one is told that it is its own, and again when it asks again.
   * Undefined when nobody can have it any more. Throws when that cannot be found out now.
   */
  readonly claim: (run: ScheduledRun, options: { readonly signal: AbortSignal }) => Promise<PeerId | undefined>;
  /** Resolves when the task was accepted for good. The same task again must have no further effect. */
  readonly submit: (run: ScheduledRun, options: { readonly signal: AbortSignal }) => Promise<void>;
  readonly onEvent: (event: ScheduleEvent) => void;
}

export type ScheduleEvent =
  | { readonly type: 'schedule-run'; readonly name: string; readonly dueMs: number; readonly task: string }
  | { readonly type: 'schedule-skipped'; readonly name: string; readonly dueMs: number; readonly reason: string }
  | { readonly type: 'schedule-problem'; readonly name: string; readonly problem: string };

interface Kept {
  readonly schedule: Schedule;
  readonly times: DueTimes;
  busy: boolean;
  startDueMs: number | undefined;
}

/** Begins what is due, once each, by the wall clock: what was dealt with is on the disk, so a clock that jumps changes nothing. */
export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #kept: readonly Kept[] = [];
  #startedAtMs = 0;
  #release: () => void = () => {};

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { schedules, store, clock } = this.#parts;
    const nowMs = clock.now();
    this.#startedAtMs = clock.monotonicMs();
    for (const schedule of schedules) await store.add(schedule, nowMs);
    this.#kept = schedules.map((schedule) => ({
      schedule,
      times: new DueTimes(schedule.rule),
      busy: false,
      startDueMs: schedule.runOnStart ? nowMs : undefined,
    }));
    this.look();
  }

  /** Begins what is due now: to be called when this node began to lead. */
  look(): void {
    if (this.#closing.signal.aborted || this.#kept.length === 0) return;
    for (const kept of this.#kept) this.#begin(kept);
    this.#wait(this.#untilNextMs());
  }

  list(): readonly ScheduleInfo[] {
    const { store, clock } = this.#parts;
    return this.#kept.map(({ schedule: { id, name, rule, session, catchUp }, times }) => {
      const row = store.get(id);
      return {
        id,
        name,
        rule: formatRule(rule),
        session,
        catchUp,
        nextDueMs: times.next(Math.max(clock.now(), row?.passedMs ?? 0)) ?? null,
        lastDueMs: row?.lastDueMs ?? null,
        lastTask: row?.lastTask ?? null,
        lastClaim: store.lastClaim(id) ?? null,
        runsHere: this.#mayBegin(),
      };
    });
  }

  /** Begins nothing more and waits for what is being begun. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#release();
    await Promise.all(this.#running);
  }

  #mayBegin(): boolean {
    return this.#parts.independent || this.#parts.isLeading();
  }

  #begin(kept: Kept): void {
    if (kept.busy) return;
    kept.busy = true;
    const work = this.#deal(kept)
      .catch((error: unknown) => this.#failed(kept, error))
      .finally(() => {
        kept.busy = false;
        this.#running.delete(work);
      });
    this.#running.add(work);
  }

  async #deal(kept: Kept): Promise<void> {
    const { store, clock, self } = this.#parts;
    const { schedule } = kept;
    await this.#finishOpen(kept, store.open(schedule.id, self));
    if (!this.#mayBegin()) return;
    await this.#dealStart(kept);
    const nowMs = clock.now();
    const dueMs = kept.times.latest(nowMs);
    let passedMs = store.get(schedule.id)?.passedMs ?? nowMs;
    if (passedMs > nowMs + AHEAD_MAX_MS) {
      await store.pass(schedule.id, nowMs, { back: true });
      passedMs = nowMs;
    }
    if (dueMs === undefined || dueMs <= passedMs) return;
    if (schedule.catchUp === 'skip' && nowMs - dueMs > LATE_MS) {
      await store.pass(schedule.id, dueMs);
      this.#skipped(schedule, dueMs, 'nobody could run it at its time');
      return;
    }
    await this.#run(schedule, dueMs);
  }

  /** What this node has claimed and not begun: a later run takes the place of an earlier one. */
  async #finishOpen({ schedule }: Kept, open: readonly number[]): Promise<void> {
    const { store, clock } = this.#parts;
    const [latest, ...older] = open;
    for (const dueMs of older) await store.drop(schedule.id, dueMs);
    if (latest === undefined) return;
    if (Math.abs(clock.now() - latest) <= OPEN_MAX_MS) await this.#run(schedule, latest);
    else {
      await store.drop(schedule.id, latest);
      this.#skipped(schedule, latest, 'it could not be begun for a day');
    }
  }

  async #dealStart(kept: Kept): Promise<void> {
    const { startDueMs, schedule } = kept;
    if (startDueMs === undefined) return;
    if (this.#parts.clock.monotonicMs() - this.#startedAtMs < START_MS) await this.#run(schedule, startDueMs);
    kept.startDueMs = undefined;
  }

  async #run(schedule: Schedule, dueMs: number): Promise<void> {
    const { store, self, independent, claim, submit, onEvent } = this.#parts;
    const { signal } = this.#closing;
    const task = scheduledTaskId(schedule.id, dueMs, independent ? self : undefined);
    const run = { schedule, dueMs, task };
    const owner = await claim(run, { signal });
    if (owner === undefined) {
      await store.drop(schedule.id, dueMs);
      this.#skipped(schedule, dueMs, 'two leaders wanted it and neither got it');
      return;
    }
    if (owner === self) await submit(run, { signal });
    await store.settle({ schedule: schedule.id, dueMs, owner, ...(owner === self ? { task } : {}) });
    if (owner === self) onEvent({ type: 'schedule-run', name: schedule.name, dueMs, task });
  }

  #failed({ schedule }: Kept, error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#parts.onEvent({ type: 'schedule-problem', name: schedule.name, problem: SkeinError.from(error).message });
    this.#wait(RETRY_MS);
  }

  #skipped({ name }: Schedule, dueMs: number, reason: string): void {
    this.#parts.onEvent({ type: 'schedule-skipped', name, dueMs, reason });
  }

  #untilNextMs(): number {
    const nowMs = this.#parts.clock.now();
    const next = this.#kept.map(({ times }) => times.next(nowMs) ?? Number.POSITIVE_INFINITY);
    return Math.min(LOOK_MS, ...next.map((dueMs) => dueMs - nowMs));
  }

  #wait(ms: number): void {
    this.#release();
    this.#release = this.#parts.clock.after(Math.min(ms, this.#untilNextMs()), () => this.look());
  }
}
