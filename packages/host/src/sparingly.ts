const WINDOW_MS = 60_000;

/** Lets a stated number of things through a minute, for what others can cause as often as they like. */
export class Sparingly {
  readonly #maxPerMinute: number;
  readonly #monotonicMs: () => number;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #admitted = 0;
  #left = 0;

  constructor(parts: { readonly maxPerMinute: number; readonly monotonicMs: () => number }) {
    this.#maxPerMinute = parts.maxPerMinute;
    this.#monotonicMs = parts.monotonicMs;
  }

  /** How many were left out since the last that was let through; undefined for one that is itself left out. */
  admit(): number | undefined {
    const nowMs = this.#monotonicMs();
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      this.#sinceMs = nowMs;
      this.#admitted = 0;
    }
    if (this.#admitted >= this.#maxPerMinute) {
      this.#left += 1;
      return undefined;
    }
    this.#admitted += 1;
    const left = this.#left;
    this.#left = 0;
    return left;
  }
}
