import { isIPv6 } from 'node:net';
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

/** What counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which a single host may own whole. */
export function addressKey(address: string): string {
  const bare = address.split('%')[0] ?? '';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(bare)) return bare;
  // The URL parser writes an IPv6 address in its one canonical form.
  const groups = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::');
  const head = (groups[0] ?? '').split(':').filter((group) => group !== '');
  const tail = (groups[1] ?? '').split(':').filter((group) => group !== '');
  const whole = groups.length === 1 ? head : [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return `${whole.slice(0, 4).join(':')}::/64`;
}
