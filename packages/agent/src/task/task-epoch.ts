import { integerOf, textOf, type Writer } from '@skein/engine';
import { findOpen } from './task-queries.ts';
import { updateRow } from './task-rows.ts';

/** A wall clock that is further from where it should be was set; less is left as it is. */
const SET_LEAST_MS = 1_000;

/** A clock that never jumps and goes on while the machine runs, whatever becomes of the process. */
export interface MachineClock {
  /** Names one run of the machine: another has other times. */
  readonly boot: string;
  steadyMs(): number;
}

export interface TaskEpochParts {
  /** The wall clock, epoch ms. */
  readonly now: () => number;
  /** Without, a wall clock that was set between two lives of the process cannot be told from time that passed. */
  readonly machine: MachineClock | undefined;
}

/** Has the deadlines on the disk mean the same time that is left, though the wall clock that they are written in is set. */
export class TaskEpoch {
  readonly #parts: TaskEpochParts;

  constructor(parts: TaskEpochParts) {
    this.#parts = parts;
  }

  /**
   * To be called in each transaction that reads or writes a deadline, first: moves those of open tasks by as much as the
   * wall clock was set since. What it shows now. @throws SkeinError `corrupt`.
   */
  align(writer: Writer): number {
    const { now, machine } = this.#parts;
    const nowMs = now();
    if (machine === undefined) return nowMs;
    const { boot } = machine;
    const apartMs = Math.round(nowMs - machine.steadyMs());
    const known = writer.get('SELECT boot, apart_ms FROM task_epoch');
    const isSameBoot = known !== undefined && textOf(known, 'boot') === boot;
    const setByMs = isSameBoot ? apartMs - integerOf(known, 'apart_ms') : 0;
    if (isSameBoot && Math.abs(setByMs) < SET_LEAST_MS) return nowMs;
    if (setByMs !== 0) {
      for (const row of findOpen(writer)) updateRow(writer, row, { deadlineAtMs: row.deadlineAtMs + setByMs });
    }
    writer.run('INSERT OR REPLACE INTO task_epoch (one, boot, apart_ms) VALUES (1, ?, ?)', boot, apartMs);
    return nowMs;
  }
}
