import { CHAINS_MAX, type ChainHead, type ChainRange, WANTS_MAX } from '@skein/protocol';

/** How far a peer's chain goes; without a digest when it is only known to go that far. */
export type KnownChain = Omit<ChainHead, 'digest'> & { readonly digest?: string };

/** A chain among those of one log. */
export function chainKey({ author, replica }: Pick<ChainHead, 'author' | 'replica'>): string {
  return `${author}.${replica}`;
}

/** What one peer has, and what of it is still to be asked for. */
export class LogWants {
  readonly #known = new Map<string, KnownChain>();
  readonly #open = new Set<string>();
  /** By chain: whether it is asked for again when it grows. */
  readonly #blocked = new Map<string, 'until-it-grows' | 'until-unblocked'>();

  /** The peer has a chain this far; `wanted` when it is to be taken. Beyond so many chains, new ones are not noted. */
  note(chain: KnownChain, wanted: boolean): void {
    const key = chainKey(chain);
    const known = this.#known.get(key);
    if (known === undefined && this.#known.size >= CHAINS_MAX) return;
    if (known === undefined || chain.seq >= known.seq) this.#known.set(key, chain);
    if (chain.seq > (known?.seq ?? 0) && this.#blocked.get(key) === 'until-it-grows') this.#blocked.delete(key);
    if (wanted) this.#open.add(key);
  }

  /** Whether the peer is known to have a chain this far. */
  has(head: KnownChain): boolean {
    return (this.#known.get(chainKey(head))?.seq ?? 0) >= head.seq;
  }

  /** Does not ask for a chain for now. */
  block(chain: Pick<ChainHead, 'author' | 'replica'>, until: 'until-it-grows' | 'until-unblocked'): void {
    const key = chainKey(chain);
    if (this.#blocked.get(key) !== 'until-unblocked') this.#blocked.set(key, until);
  }

  /** Forgets what was blocked: it is asked for again. */
  unblock(): void {
    this.#blocked.clear();
  }

  /**
   * What to ask for next, of chains that `isFree`; `headOf` says how far they go here. A chain of the same length and
   * another end is asked for its end: that shows a fork.
   */
  next(headOf: (chain: KnownChain) => ChainHead | undefined, isFree: (key: string) => boolean): readonly ChainRange[] {
    const ranges: ChainRange[] = [];
    for (const key of this.#open) {
      if (ranges.length >= WANTS_MAX) break;
      if (this.#blocked.has(key) || !isFree(key)) continue;
      const theirs = this.#known.get(key);
      const range = theirs && missing(theirs, headOf(theirs));
      if (range === undefined) this.#open.delete(key);
      else ranges.push(range);
    }
    return ranges;
  }
}

function missing({ author, replica, seq, digest }: KnownChain, mine: ChainHead | undefined): ChainRange | undefined {
  if (mine === undefined || mine.seq < seq) return { author, replica, from: (mine?.seq ?? 0) + 1, to: seq };
  const differs = mine.seq === seq && digest !== undefined && digest !== mine.digest;
  return differs ? { author, replica, from: seq, to: seq } : undefined;
}
