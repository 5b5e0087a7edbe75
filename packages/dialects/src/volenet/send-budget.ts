/** Messages that may leave at once, and so many a second in the long run: at most 1,100 in any minute. */
const BURST = 500;
const PER_SECOND = 10;

/**
 * Keeps to what a VoleNet node takes on a socket that was dialled: 1,200 messages in any minute. It drops what comes
 * beyond without a word, results too.
 */
export class SendBudget {
  #left = BURST;
  #atMs: number;

  constructor(monotonicMs: number) {
    this.#atMs = monotonicMs;
  }

  /** Takes one message, or none: then the milliseconds until there is one. 0 means taken. */
  take(monotonicMs: number): number {
    this.#left = Math.min(BURST, this.#left + ((monotonicMs - this.#atMs) * PER_SECOND) / 1_000);
    this.#atMs = monotonicMs;
    if (this.#left < 1) return Math.ceil(((1 - this.#left) * 1_000) / PER_SECOND);
    this.#left -= 1;
    return 0;
  }
}
