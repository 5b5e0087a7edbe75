import { closeSync, openSync, writeSync } from 'node:fs';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;
const BYTES = 8;

interface Hand {
  readonly aheadNs: bigint;
  /** Ahead by so much more each second. */
  readonly rateNs: bigint;
}
const RIGHT: Hand = { aheadNs: 0n, rateNs: 0n };

/** The clocks of programs under the clock shim, set while they run. */
export class ShimClock implements Disposable {
  readonly path: string;
  readonly #file: number;
  #changes = 0n;
  #sinceNs = 0n;
  #wall = RIGHT;
  #steady = RIGHT;

  /** `path`: of the file by which the programs are told, made anew. */
  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, 'w', 0o600);
    this.#change({});
  }

  /** How far its wall clock is ahead of this machine's now. */
  get aheadMs(): number {
    return Number(this.#aheadNs(this.#wall)) / Number(NS_PER_MS);
  }

  /** What its wall clock shows now, epoch milliseconds. */
  now(): number {
    return Date.now() + this.aheadMs;
  }

  /** From now on its wall clock is so far ahead of this machine's; the clocks that measure time do not jump. */
  set(aheadMs: number): void {
    this.#change({ wall: { aheadNs: BigInt(Math.round(aheadMs)) * NS_PER_MS } });
  }

  /** Moves its wall clock on, or back. */
  jump(ms: number): void {
    this.set(this.aheadMs + ms);
  }

  /** From now on its wall clock goes so many times as fast as this machine's, as one that is put right bit by bit. */
  run(rate: number): void {
    this.#change({ wall: { rateNs: rateOf(rate) } });
  }

  /** From now on all its clocks go so many times as fast, and so do its timers. */
  drift(rate: number): void {
    const change = { rateNs: rateOf(rate) };
    this.#change({ wall: change, steady: change });
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #aheadNs({ aheadNs, rateNs }: Hand): bigint {
    return aheadNs + ((process.hrtime.bigint() - this.#sinceNs) * rateNs) / NS_PER_SECOND;
  }

  /** Readers wait while the first number is odd, and read again when it changed. */
  #change({ wall = {}, steady = {} }: { readonly wall?: Partial<Hand>; readonly steady?: Partial<Hand> }): void {
    const at = (hand: Hand) => ({ ...hand, aheadNs: this.#aheadNs(hand) });
    [this.#wall, this.#steady] = [
      { ...at(this.#wall), ...wall },
      { ...at(this.#steady), ...steady },
    ];
    this.#sinceNs = process.hrtime.bigint();
    this.#put(0, [this.#changes + 1n]);
    this.#put(1, [this.#sinceNs, this.#wall.aheadNs, this.#wall.rateNs, this.#steady.aheadNs, this.#steady.rateNs]);
    this.#changes += 2n;
    this.#put(0, [this.#changes]);
  }

  #put(field: number, values: readonly bigint[]): void {
    writeSync(this.#file, new BigInt64Array(values), 0, values.length * BYTES, field * BYTES);
  }
}

function rateOf(rate: number): bigint {
  return BigInt(Math.round((rate - 1) * Number(NS_PER_SECOND)));
}
