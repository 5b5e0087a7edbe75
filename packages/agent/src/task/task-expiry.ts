import type { TaskClock } from './task.ts';
import type { QueuedTask, TaskQueue } from './task-queue.ts';

export interface TaskExpiryParts {
  readonly queue: TaskQueue;
  readonly clock: TaskClock;
  /** Told of each task that waits past its deadline. Takes it out of the queue. */
  readonly onExpired: (task: QueuedTask) => void;
  /** Told after those. */
  readonly onChecked: () => void;
}

/** Sees to it that no task waits past its deadline. One timer for them all, so one that is taken out costs nothing. */
export class TaskExpiry {
  readonly #parts: TaskExpiryParts;
  #timer: { readonly atMs: number; readonly release: () => void } | undefined;

  constructor(parts: TaskExpiryParts) {
    this.#parts = parts;
  }

  /** A task waits that has this deadline, on the monotonic clock. */
  watch(deadlineMs: number): void {
    if (this.#timer !== undefined && this.#timer.atMs <= deadlineMs) return;
    this.#timer?.release();
    const { clock } = this.#parts;
    const release = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => this.#check());
    this.#timer = { atMs: deadlineMs, release };
  }

  close(): void {
    this.#timer?.release();
  }

  #check(): void {
    const { queue, clock, onExpired, onChecked } = this.#parts;
    this.#timer = undefined;
    const nowMs = clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const task of [...queue.all()]) {
      if (task.deadlineMs > nowMs) nextMs = Math.min(nextMs, task.deadlineMs);
      else onExpired(task);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.watch(nextMs);
    onChecked();
  }
}
