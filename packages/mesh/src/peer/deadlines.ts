import type { Clock } from '../clock.ts';

/**
 * One timer for many deadlines. Calls that end in time cost no timer: the timer is moved only when an earlier
 * deadline than all before is added.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #sweep: (nowMs: number) => number;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #release: () => void = () => {};

  /** `sweep` ends what is due at a monotonic time and returns the next deadline, Infinity when there is none. */
  constructor(clock: Clock, sweep: (nowMs: number) => number) {
    this.#clock = clock;
    this.#sweep = sweep;
  }

  /** Makes sure that the sweep runs at this monotonic time or soon after. */
  add(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#release();
    this.#wakeAtMs = atMs;
    this.#release = this.#clock.after(Math.max(0, atMs - this.#clock.monotonicMs()), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.add(this.#sweep(this.#clock.monotonicMs()));
    });
  }

  close(): void {
    this.#release();
    this.#wakeAtMs = Number.NEGATIVE_INFINITY;
  }
}
