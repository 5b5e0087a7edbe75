import { addressKey } from '@skein/protocol';
import type { GatewayLimits } from './limits.ts';

interface Bucket {
  level: number;
  atMs: number;
}

type FailureLimits = Pick<
  GatewayLimits,
  'failuresPerAddress' | 'failureRefillMs' | 'failuresInAll' | 'failuresInAllRefillMs' | 'maxAddresses'
>;

/**
 * Counts wrong tokens by remote address. An address that used up its tries is not listened to until some come back,
 * and an address that never failed is always listened to: nobody can lock out somebody elsewhere.
 */
export class FailureLimit {
  readonly #limits: FailureLimits;
  readonly #now: () => number;
  readonly #addresses = new Map<string, Bucket>();
  readonly #all: Bucket;

  constructor(parts: { readonly limits: FailureLimits; readonly now: () => number }) {
    this.#limits = parts.limits;
    this.#now = parts.now;
    this.#all = { level: parts.limits.failuresInAll, atMs: parts.now() };
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#addresses.size;
  }

  /** Milliseconds until this address is listened to again; 0 when it is now. */
  lockedForMs(address: string): number {
    const { failuresPerAddress, failureRefillMs, failuresInAll, failuresInAllRefillMs } = this.#limits;
    const key = addressKey(address);
    const bucket = this.#addresses.get(key);
    if (bucket === undefined) return 0;
    const now = this.#now();
    refill(bucket, now, { capacity: failuresPerAddress, refillMs: failureRefillMs });
    refill(this.#all, now, { capacity: failuresInAll, refillMs: failuresInAllRefillMs });
    if (bucket.level >= failuresPerAddress) {
      this.#addresses.delete(key);
      return 0;
    }
    // While everybody's tries are used up, an address that failed waits until its own are whole again.
    const needed = this.#all.level < 1 ? failuresPerAddress : 1;
    return bucket.level >= needed ? 0 : Math.ceil((needed - bucket.level) * failureRefillMs);
  }

  /** Records a wrong token. */
  failed(address: string): void {
    const { failuresPerAddress, failureRefillMs, failuresInAll, failuresInAllRefillMs, maxAddresses } = this.#limits;
    const now = this.#now();
    const key = addressKey(address);
    const bucket = this.#addresses.get(key) ?? { level: failuresPerAddress, atMs: now };
    refill(bucket, now, { capacity: failuresPerAddress, refillMs: failureRefillMs });
    bucket.level = Math.max(0, bucket.level - 1);
    // Set anew, so that the map's order is the order of last failure and its first entry the longest unseen.
    this.#addresses.delete(key);
    this.#addresses.set(key, bucket);
    const oldest = this.#addresses.keys().next();
    if (this.#addresses.size > maxAddresses && !oldest.done) this.#addresses.delete(oldest.value);
    refill(this.#all, now, { capacity: failuresInAll, refillMs: failuresInAllRefillMs });
    this.#all.level = Math.max(0, this.#all.level - 1);
  }
}

function refill(bucket: Bucket, now: number, rate: { readonly capacity: number; readonly refillMs: number }): void {
  const elapsed = Math.max(0, now - bucket.atMs);
  bucket.level = Math.min(rate.capacity, bucket.level + elapsed / rate.refillMs);
  bucket.atMs = now;
}
