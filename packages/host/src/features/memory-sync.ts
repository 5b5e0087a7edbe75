import {
  factOfChange,
  type MemoryStore,
  type PeerFact,
  type PeerFindings,
  parseMemoryChange,
  readOperation,
  stampOf,
} from '@skein/agent';
import type { Peer } from '@skein/mesh';
import {
  memoryOperations,
  memorySearch,
  OPERATIONS_PAGE_BYTES_SOFT,
  type PeerId,
  SkeinError,
  verifyOperation,
  type WireOperation,
} from '@skein/protocol';
import { LogSync, type LogSyncParts } from './log-sync.ts';

/** How long peers have to look in their memories. */
const SEARCH_TIMEOUT_MS = 2_000;
/** Peers asked at once. */
const SEARCH_PEERS_MAX = 64;

export interface MemorySyncParts extends Omit<LogSyncParts, 'methods' | 'sharedBy'> {
  readonly memory: MemoryStore;
  readonly searchTimeoutMs?: number;
}

/** Keeps the memory the same on all nodes that share it, and looks in the memories of those that are connected. */
export class MemorySync {
  readonly #parts: MemorySyncParts;
  readonly #sync: LogSync;

  constructor(parts: MemorySyncParts) {
    this.#parts = parts;
    const { router, memory, isShared } = parts;
    this.#sync = new LogSync({ ...parts, methods: memoryOperations, sharedBy: 'net.share.memory' });
    router.serve(memorySearch, ({ query, limit }) => {
      if (!isShared()) throw new SkeinError('This node does not share its memory (net.share.memory)', { code: 'denied' });
      return { facts: withinPage(memory.search(query, { limit }).flatMap((fact) => memory.operationOf(fact) ?? [])) };
    });
  }

  joined(peer: Peer): void {
    this.#sync.joined(peer);
  }

  left(id: PeerId): void {
    this.#sync.left(id);
  }

  /** Trust or configuration has changed. */
  changed(): void {
    this.#sync.changed();
  }

  close(): void {
    this.#sync.close();
  }

  /**
   * What all connected peers that share their memory find, each asked at once and for so long; who did not answer is named.
   * For `createMemoryTools`. @throws SkeinError the signal's reason.
   */
  async search(query: string, options: { readonly limit: number; readonly signal: AbortSignal }): Promise<PeerFindings> {
    const { mesh, isShared } = this.#parts;
    if (!isShared()) return { facts: [], silent: [] };
    const peers = [...mesh.peers.values()];
    const asked = peers.slice(0, SEARCH_PEERS_MAX);
    const answers = await Promise.all(asked.map((peer) => this.#ask(peer, query, options)));
    options.signal.throwIfAborted();
    const left = peers.slice(SEARCH_PEERS_MAX).map(({ name }) => ({ peer: name, reason: 'too many peers to ask' }));
    return {
      facts: answers.flatMap((answer) => (Array.isArray(answer) ? [answer] : [])),
      silent: [...answers.flatMap((answer) => ('reason' in answer ? [answer] : [])), ...left],
    };
  }

  async #ask(
    peer: Peer,
    query: string,
    options: { readonly limit: number; readonly signal: AbortSignal },
  ): Promise<PeerFact[] | { readonly peer: string; readonly reason: string }> {
    const { limit, signal } = options;
    const { searchTimeoutMs: timeoutMs = SEARCH_TIMEOUT_MS } = this.#parts;
    try {
      const { facts } = await peer.call(memorySearch, { query, limit }, { signal, timeoutMs });
      return facts.slice(0, limit).flatMap((wire) => this.#factOf(wire, peer));
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      // Not to share is a choice, and no answer is missing.
      if (error.code === 'denied' || error.code === 'not-found') return [];
      return { peer: peer.name, reason: error.message };
    }
  }

  /** @throws SkeinError `invalid`, `unauthenticated` for what was forged on the way. */
  #factOf(wire: WireOperation, peer: Peer): PeerFact[] {
    const { log, memory } = this.#parts;
    const { head, body } = readOperation(wire, log.name);
    if (!verifyOperation(head)) {
      throw new SkeinError(`It gave a fact that ${head.author} never signed`, { code: 'unauthenticated' });
    }
    const change = body === undefined ? undefined : parseMemoryChange(body);
    const stamp = stampOf(head, log.self);
    // What was forgotten here does not come back from one that has not heard of it.
    if (change?.type !== 'fact' || memory.isRemoved(stamp.dot)) return [];
    return [{ fact: { ...factOfChange(stamp, change), trusted: false }, peer: peer.name }];
  }
}

function withinPage(operations: readonly WireOperation[]): WireOperation[] {
  let room = OPERATIONS_PAGE_BYTES_SOFT;
  return operations.filter(({ head, body = '' }) => {
    room -= head.length + Buffer.byteLength(body);
    return room >= 0;
  });
}
