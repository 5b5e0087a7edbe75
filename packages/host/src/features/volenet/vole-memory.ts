import type { Fact, PeerFact, PeerFindings, SearchPeers } from '@skein/agent';
import type { VoleMemoryEntry, VoleMemoryHit, VolePeer } from '@skein/dialects';
import { type PeerId, SkeinError } from '@skein/protocol';

/** How long OpenVole nodes have to look in their memories. */
const SEARCH_MS = 1_500;
/** One that did not answer is not waited for again so soon: most have nothing that would. */
const SILENT_MS = 300_000;
/** Peers asked at once. */
const PEERS_MAX = 64;
/** Characters of one fact and of where it is from. */
const FACT_CHARS_MAX = 4_000;
const SOURCE_CHARS_MAX = 200;

export interface VoleSearchParts {
  readonly peers: () => readonly VolePeer[];
  readonly isShared: () => boolean;
  readonly monotonicMs: () => number;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Looks in the memories of OpenVole nodes. */
export class VoleSearch {
  readonly #parts: VoleSearchParts;
  /** Until when those that did not answer are left alone; bounded by the keys that are trusted. */
  readonly #silentUntilMs = new Map<PeerId, number>();

  constructor(parts: VoleSearchParts) {
    this.#parts = parts;
  }

  /** What all of them find, each asked at once and for so long; who did not answer is named. */
  search: SearchPeers = async (query, { limit, signal }) => {
    const { peers, isShared } = this.#parts;
    if (!isShared()) return { facts: [], silent: [] };
    const all = peers();
    const answers = await Promise.all(all.slice(0, PEERS_MAX).map((peer) => this.#ask(peer, query, { limit, signal })));
    signal.throwIfAborted();
    const left = all.slice(PEERS_MAX).map(({ name }) => ({ peer: name, reason: 'too many peers to ask' }));
    return {
      facts: answers.flatMap((answer) => ('hits' in answer ? [answer.hits] : [])),
      silent: [...answers.flatMap((answer) => ('reason' in answer ? [answer] : [])), ...left],
    };
  };

  async #ask(
    peer: VolePeer,
    query: string,
    { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
  ): Promise<{ readonly hits: readonly PeerFact[] } | { readonly peer: string; readonly reason: string }> {
    const { monotonicMs, now } = this.#parts;
    if ((this.#silentUntilMs.get(peer.id) ?? 0) > monotonicMs()) {
      return { peer: peer.name, reason: 'it did not answer the last search, and is asked again in a few minutes' };
    }
    try {
      const hits = await peer.searchMemory({ query, limit }, { signal, timeoutMs: SEARCH_MS });
      this.#silentUntilMs.delete(peer.id);
      return { hits: hits.slice(0, limit).flatMap((hit) => factOf(hit, peer, now())) };
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (error.code === 'deadline-exceeded') this.#silentUntilMs.set(peer.id, monotonicMs() + SILENT_MS);
      return { peer: peer.name, reason: error.message };
    }
  }
}

/** Several places to look in as one. */
export function searchAll(...places: readonly SearchPeers[]): SearchPeers {
  return async (query, options) => {
    const found: readonly PeerFindings[] = await Promise.all(places.map((search) => search(query, options)));
    return { facts: found.flatMap(({ facts }) => facts), silent: found.flatMap(({ silent }) => silent) };
  };
}

/** A fact of this node as a write to a memory over there: added to it, never in place of what is there. */
export function entryOfFact({ text, source, atMs }: Fact): VoleMemoryEntry {
  return {
    file: 'MEMORY.md',
    source: source.slice(0, SOURCE_CHARS_MAX),
    content: text,
    mode: 'append',
    timestamp: atMs,
    version: 1,
  };
}

/** A write of theirs as a fact: its author is who signed it, and what it says is text from outside. */
export function factOfEntry(
  { file, source, content }: VoleMemoryEntry,
  author: { readonly id: PeerId; readonly name: string },
) {
  const from = [`${author.name} (VoleNet)`, file, source].filter((part) => part !== '').join(', ');
  return {
    text: content.slice(0, FACT_CHARS_MAX).toWellFormed(),
    author: author.id,
    source: from.slice(0, SOURCE_CHARS_MAX).toWellFormed(),
    trusted: false,
  };
}

/** What this node remembers as an answer to a search of theirs, the best first. */
export function hitsOf(facts: readonly Fact[]): readonly VoleMemoryHit[] {
  return facts.map(({ text, source, author }, place) => ({
    file: 'memory',
    source: `${author.slice(0, 16)}: ${source}`.slice(0, SOURCE_CHARS_MAX).toWellFormed(),
    score: 1 / (place + 1),
    snippet: text,
  }));
}

/** Nothing says who wrote it or when: it is the word of the peer that found it, now. */
function factOf({ file, source, snippet }: VoleMemoryHit, peer: VolePeer, atMs: number): readonly PeerFact[] {
  const text = snippet.slice(0, FACT_CHARS_MAX).toWellFormed().trim();
  if (text === '') return [];
  const from = [file, source].filter((part) => part !== '').join(', ');
  const fact: Fact = {
    id: `vole:${peer.voleId}`,
    text,
    tags: [],
    author: peer.id,
    source: from.slice(0, SOURCE_CHARS_MAX).toWellFormed(),
    trusted: false,
    atMs,
  };
  return [{ fact, peer: peer.name }];
}
