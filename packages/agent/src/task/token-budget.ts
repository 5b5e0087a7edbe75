import { type PeerId, SkeinError, shortPeerId } from '@skein/protocol';
import { untilAborted } from '../turn/waiting.ts';
import type { TaskClock } from './task.ts';

const HOUR_MS = 3_600_000;
const BUCKET_MS = 60_000;
const MAX_SPENDERS = 10_000;

export interface TokenBudgetParts {
  readonly clock: TaskClock;
  /** Tokens that one node may have this one use in any hour. */
  readonly maxPerHour: number;
}

interface Spender {
  /** What was used in each minute, the oldest first. */
  readonly buckets: { readonly atMs: number; tokens: number }[];
  /** What the calls under way may use. */
  reserved: number;
  calls: number;
  changed: PromiseWithResolvers<void>;
}

/**
 * What each node has used of this one's brain in the last hour. A call that might go over the bound waits until no other
 * call of that node is under way, so that at most one goes over.
 */
export class TokenBudget {
  readonly #clock: TaskClock;
  readonly #maxPerHour: number;
  readonly #spenders = new Map<PeerId, Spender>();

  constructor(parts: TokenBudgetParts) {
    this.#clock = parts.clock;
    this.#maxPerHour = parts.maxPerHour;
  }

  /** Counts what was used already, as of now. */
  add(peer: PeerId, tokens: number): void {
    if (tokens > 0) this.#count(this.#spender(peer), tokens);
  }

  /** @throws SkeinError `busy`, saying when, once all is used up. */
  check(peer: PeerId): void {
    const spender = this.#spenders.get(peer);
    if (spender === undefined || this.#used(spender) < this.#maxPerHour) return;
    const retryAfterMs = Math.max(1, (spender.buckets[0]?.atMs ?? 0) + HOUR_MS - this.#clock.monotonicMs());
    const minutes = Math.ceil(retryAfterMs / 60_000);
    throw new SkeinError(
      `${shortPeerId(peer)} has used up the ${this.#maxPerHour} tokens it has in an hour here (maxTokensPerPeerHour): try again in ${minutes} min`,
      { code: 'busy', retryAfterMs: Math.ceil(retryAfterMs) },
    );
  }

  /**
   * Takes up a call of a node, and gives what to tell its end to.
   * @throws SkeinError `busy` once all is used up, or the signal's reason.
   */
  async enter(peer: PeerId, estimate: number, signal: AbortSignal): Promise<(used: number) => void> {
    for (;;) {
      this.check(peer);
      const spender = this.#spender(peer);
      if (spender.calls > 0 && this.#used(spender) + spender.reserved + estimate > this.#maxPerHour) {
        await untilAborted(spender.changed.promise, signal);
        continue;
      }
      spender.reserved += estimate;
      spender.calls += 1;
      return (used) => {
        spender.reserved -= estimate;
        spender.calls -= 1;
        this.#count(spender, used);
        spender.changed.resolve();
        spender.changed = Promise.withResolvers();
      };
    }
  }

  #used(spender: Spender): number {
    const sinceMs = this.#clock.monotonicMs() - HOUR_MS;
    while ((spender.buckets[0]?.atMs ?? Number.POSITIVE_INFINITY) <= sinceMs) spender.buckets.shift();
    return spender.buckets.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  #count(spender: Spender, tokens: number): void {
    const atMs = this.#clock.monotonicMs();
    const last = spender.buckets.at(-1);
    // A bucket counts from its end on, so that nothing is forgotten early.
    if (last !== undefined && atMs <= last.atMs) last.tokens += tokens;
    else spender.buckets.push({ atMs: atMs + BUCKET_MS, tokens });
  }

  #spender(peer: PeerId): Spender {
    const known = this.#spenders.get(peer);
    if (known !== undefined) return known;
    if (this.#spenders.size >= MAX_SPENDERS) this.#forget();
    const spender: Spender = { buckets: [], reserved: 0, calls: 0, changed: Promise.withResolvers() };
    this.#spenders.set(peer, spender);
    return spender;
  }

  /** Those that have used nothing in the last hour go. @throws SkeinError `busy` when there are none. */
  #forget(): void {
    for (const [peer, spender] of this.#spenders) {
      if (spender.calls === 0 && this.#used(spender) === 0) this.#spenders.delete(peer);
    }
    if (this.#spenders.size < MAX_SPENDERS) return;
    throw new SkeinError('Too many nodes use this brain in one hour', { code: 'busy', retryAfterMs: BUCKET_MS });
  }
}
