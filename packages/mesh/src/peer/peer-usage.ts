import type { PeerId } from '@skein/protocol';
import type { Clock } from '../clock.ts';
import { TokenBucket } from './token-bucket.ts';

/** Peers that are remembered: more than may have a session at once. */
const PEERS_KEPT_MAX = 12_000;

/** What one peer uses of this node, in all its sessions. */
export interface PeerUsage {
  /** Its messages. */
  readonly messages: TokenBucket;
  /** Its handlers that have not settled yet, those of ended calls and sessions included. */
  running: number;
}

/**
 * What each peer uses, by its key, so that nobody gets anything anew by coming anew. At the bound those are forgotten that
 * use nothing, which changes nothing for them, and if there are none, the one that is known longest.
 */
export class PeerUsages {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #usages = new Map<PeerId, PeerUsage>();

  constructor(parts: { readonly maxMessagesPerSecond: number; readonly clock: Clock }) {
    this.#perSecond = parts.maxMessagesPerSecond;
    this.#clock = parts.clock;
  }

  /** How many peers are remembered. */
  get size(): number {
    return this.#usages.size;
  }

  /** To be asked for with each request, not kept: what is kept may have been forgotten here. */
  of(id: PeerId): PeerUsage {
    const known = this.#usages.get(id);
    if (known !== undefined) return known;
    if (this.#usages.size >= PEERS_KEPT_MAX) this.#makeRoom();
    const usage = { messages: new TokenBucket(this.#perSecond, this.#clock.monotonicMs()), running: 0 };
    this.#usages.set(id, usage);
    return usage;
  }

  #makeRoom(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { messages, running }] of this.#usages) {
      if (running === 0 && messages.isFull(nowMs)) this.#usages.delete(id);
    }
    const [oldest] = this.#usages.keys();
    if (this.#usages.size >= PEERS_KEPT_MAX && oldest !== undefined) this.#usages.delete(oldest);
  }
}
