import type { Clock } from '@skein/mesh';

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Enough for a handshake over in-memory pipes, so that time does not run ahead of what it set off. */
const TURNS_PER_TIMER = 16;

/** Time that moves only when a test moves it. */
export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #monotonicMs = 0;
  /** What the wall clock shows beyond the monotonic one; may be set to make it jump. */
  wallOffsetMs = 1_700_000_000_000;

  now(): number {
    return Math.floor(this.wallOffsetMs + this.#monotonicMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(ms: number, fire: () => void): () => void {
    const timer = { atMs: this.#monotonicMs + ms, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time on, firing what becomes due in its order; between two timers, work that they set off gets its turn. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#monotonicMs + ms;
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.delete(next);
      this.#monotonicMs = Math.max(this.#monotonicMs, next.atMs);
      next.fire();
      await turns(TURNS_PER_TIMER);
    }
    this.#monotonicMs = untilMs;
    await turns(TURNS_PER_TIMER);
  }

  #next(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (next === undefined || timer.atMs < next.atMs)) next = timer;
    }
    return next;
  }
}

/** Lets the event loop go round so many times. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}
