import { addressKey, HANDSHAKES_PER_SECOND_FREE } from '@skein/protocol';
import type { Clock } from './clock.ts';

/** Connections without a proven peer at once, in all and from one address. */
const STRANGERS_MAX = 256;
const STRANGERS_PER_ADDRESS_MAX = 64;

/** One connection among those whose peer is not proven yet. */
export interface StrangerPlace {
  /** It has done more than to be there. */
  advance(): void;
  /** It is no stranger any more, or has left. Idempotent. */
  leave(): void;
}

interface Stranger {
  readonly address: string;
  readonly evict: (reason: string) => void;
  hasAdvanced: boolean;
}

/**
 * The budget of those who have not proven who they are. Never shared with those who have. Nobody is refused: at a bound one
 * goes for the one who comes, so that whoever holds all the places, and renews them, keeps out nobody who is quicker.
 */
export class StrangerBudget {
  readonly #clock: Clock;
  /** In the order in which they came. */
  readonly #strangers = new Set<Stranger>();
  #windowSinceMs = Number.NEGATIVE_INFINITY;
  #handshakesInWindow = 0;
  #handshakesInLastWindow = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Lets one connection begin. When its place is needed for another, it is taken and `evict` is called once, within that
   * one's `enter`: the connection must be closed then.
   */
  enter(address: string, evict: (reason: string) => void): StrangerPlace {
    const stranger: Stranger = { address: addressKey(address), evict, hasAdvanced: false };
    const all = [...this.#strangers];
    const neighbours = all.filter((other) => other.address === stranger.address);
    this.#strangers.add(stranger);
    if (neighbours.length >= STRANGERS_PER_ADDRESS_MAX) this.#evictFrom(neighbours);
    else if (all.length >= STRANGERS_MAX) this.#evictFrom(all);
    return {
      advance: () => {
        stranger.hasAdvanced = true;
      },
      leave: () => {
        this.#strangers.delete(stranger);
      },
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

  /**
   * The oldest goes, of those that have advanced or of those that have not: whichever are more. So neither many that are
   * silent push out those that are nearly in, nor many of these one that has only come.
   */
  #evictFrom(strangers: readonly Stranger[]): void {
    const advanced = strangers.filter(({ hasAdvanced }) => hasAdvanced);
    const silent = strangers.filter(({ hasAdvanced }) => !hasAdvanced);
    const [oldest] = silent.length >= advanced.length ? silent : advanced;
    if (oldest === undefined) return;
    this.#strangers.delete(oldest);
    oldest.evict('too many connections wait to prove who they are, and this one had waited longest');
  }
}
