import { SkeinError } from '@skein/protocol';
import { untilAborted } from './waiting.ts';

/** One at a time for each key, the others waiting in order; both the waiting and the whole are bounded. */
export class Lanes {
  readonly #maxWaiting: number;
  readonly #maxInAll: number;
  readonly #lanes = new Map<string, { waiting: number; last: Promise<void> }>();
  #inAll = 0;

  constructor(parts: { readonly maxWaiting: number; readonly maxInAll: number }) {
    this.#maxWaiting = parts.maxWaiting;
    this.#maxInAll = parts.maxInAll;
  }

  /** Resolves when it is this one's turn; dispose to let the next in. @throws SkeinError `busy` at a bound, or the signal's reason. */
  async enter(key: string, options: { readonly signal: AbortSignal }): Promise<Disposable> {
    const lane = this.#lanes.get(key) ?? { waiting: 0, last: Promise.resolve() };
    if (this.#inAll >= this.#maxInAll) throw busy(`${this.#inAll} turns run or wait`);
    if (lane.waiting > this.#maxWaiting) throw busy(`${this.#maxWaiting} turns wait in this conversation`);
    const before = lane.last;
    const { promise, resolve } = Promise.withResolvers<void>();
    lane.last = before.then(() => promise);
    lane.waiting += 1;
    this.#inAll += 1;
    this.#lanes.set(key, lane);
    const leave = () => {
      lane.waiting -= 1;
      this.#inAll -= 1;
      if (lane.waiting === 0) this.#lanes.delete(key);
      resolve();
    };
    try {
      await untilAborted(before, options.signal);
    } catch (thrown) {
      leave();
      throw thrown;
    }
    return { [Symbol.dispose]: leave };
  }
}

function busy(what: string): SkeinError {
  return new SkeinError(`${what} already: try again when one has ended`, { code: 'busy', retryAfterMs: 1_000 });
}
