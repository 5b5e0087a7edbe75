import { HANDSHAKES_PER_SECOND_FREE, SkeinError } from '@skein/protocol';
import type { Clock } from './clock.ts';

/** Connections without a proven peer at once, in all and from one address. */
const STRANGERS_MAX = 256;
const STRANGERS_PER_ADDRESS_MAX = 64;

/** The budget of those who have not proven who they are. Never shared with those who have. */
export class StrangerBudget {
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, number>();
  #strangers = 0;
  #windowSinceMs = Number.NEGATIVE_INFINITY;
  #handshakesInWindow = 0;
  #handshakesInLastWindow = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Lets one connection begin; the returned function, called once, says that it is no stranger any more or has left.
   * @throws SkeinError `busy`.
   */
  enter(address: string): () => void {
    const fromAddress = this.#byAddress.get(address) ?? 0;
    if (this.#strangers >= STRANGERS_MAX || fromAddress >= STRANGERS_PER_ADDRESS_MAX) {
      throw new SkeinError('Too many connections are waiting to prove who they are', { code: 'busy', retryAfterMs: 1_000 });
    }
    this.#strangers += 1;
    this.#byAddress.set(address, fromAddress + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#strangers -= 1;
      const remaining = (this.#byAddress.get(address) ?? 1) - 1;
      if (remaining === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, remaining);
    };
  }

  /** Counts one handshake that begins; true when it must bring a cookie. */
  cookieRequired(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowSinceMs >= 1_000) {
      this.#handshakesInLastWindow = nowMs - this.#windowSinceMs < 2_000 ? this.#handshakesInWindow : 0;
      this.#windowSinceMs = nowMs;
      this.#handshakesInWindow = 0;
    }
    this.#handshakesInWindow += 1;
    return Math.max(this.#handshakesInWindow, this.#handshakesInLastWindow) > HANDSHAKES_PER_SECOND_FREE;
  }
}
