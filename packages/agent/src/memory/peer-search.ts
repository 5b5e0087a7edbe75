import type { Fact } from './fact.ts';
import { textKey } from './fact.ts';

/** A fact that a peer found in its memory; who wrote it is proven, what it says is not to be trusted. */
export interface PeerFact {
  readonly fact: Fact;
  /** The label of the peer that found it. */
  readonly peer: string;
}

/** What the peers' memories gave. */
export interface PeerFindings {
  /** Of each peer that answered, best first. */
  readonly facts: readonly (readonly PeerFact[])[];
  /** Peers that did not answer in time or at all, by label, with why. */
  readonly silent: readonly { readonly peer: string; readonly reason: string }[];
}

/** Asks all connected peers at once, and waits no longer than it says. Never rejects but with the signal's reason. */
export type SearchPeers = (
  query: string,
  options: { readonly limit: number; readonly signal: AbortSignal },
) => Promise<PeerFindings>;

/** A fact, and the peer it comes from; none for one that is here. */
export interface MergedFact {
  readonly fact: Fact;
  readonly peer?: string;
}

/**
 * One list of several, each best first, without duplicates: a version of a fact, or a text, is there once, as this node
 * has it where it does. The best place in any list counts, and this node's own comes first among equals; that many peers
 * hold the same does not make it better, as they have it from each other.
 */
export function mergeFindings(
  own: readonly Fact[],
  found: readonly (readonly PeerFact[])[],
  limit: number,
): readonly MergedFact[] {
  const best = new Map<string, { readonly merged: MergedFact; readonly place: number }>();
  const lists: readonly (readonly MergedFact[])[] = [own.map((fact) => ({ fact })), ...found];
  for (const list of lists) {
    for (const [place, merged] of list.entries()) {
      const key = textKey(merged.fact.text);
      const known = best.get(key);
      if (known === undefined || place < known.place) best.set(key, { merged: known?.merged ?? merged, place });
    }
  }
  // The sort is stable: of equals, the first list's comes first.
  const ranked = [...best.values()].sort((one, other) => one.place - other.place);
  return ranked.slice(0, limit).map(({ merged }) => merged);
}
