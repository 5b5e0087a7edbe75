import type { OperationLog } from '@skein/agent';
import type { Clock, Mesh, Peer, Router } from '@skein/mesh';
import { CHAINS_MAX, type ChainHead, type OperationMethods, type PeerId, SkeinError } from '@skein/protocol';
import { LogExchange, type SyncEvent } from './log-exchange.ts';
import { chainKey } from './log-wants.ts';

/** Pages and pushes of one peer being worked on at once. */
const PER_PEER_MAX = 4;
const BUSY_MS = 200;
/** Before other peers are told of what one brought: they mostly have it by then, and several pieces go together. */
const TELL_MS = 100;

export interface LogSyncParts {
  readonly log: OperationLog;
  readonly methods: OperationMethods;
  readonly router: Router;
  readonly mesh: Pick<Mesh, 'peers'>;
  readonly clock: Clock;
  /** Whether the configuration shares this log at all, as it is now. */
  readonly isShared: () => boolean;
  /** What the configuration would have to say, for a peer that asks in vain. */
  readonly sharedBy: string;
  /** Whether this peer may be given the log. */
  readonly mayRead: (peer: PeerId) => boolean;
  /** Whether operations of this author are taken, whoever brings them. */
  readonly mayWrite: (author: PeerId) => boolean;
  readonly onEvent: (event: SyncEvent) => void;
  /** Told when peers brought something that was not here. */
  readonly onGrown?: () => void;
}

/** Keeps one log the same on this node and its peers. */
export class LogSync {
  readonly #parts: LogSyncParts;
  readonly #exchanges = new Map<PeerId, LogExchange>();
  readonly #claims = new Set<string>();
  readonly #serving = new Map<PeerId, number>();
  /** Chains that grew by what peers brought, to be told to the others. */
  readonly #news = new Map<string, ChainHead>();
  readonly #releaseLog: () => void;
  #releaseTell: (() => void) | undefined;

  constructor(parts: LogSyncParts) {
    this.#parts = parts;
    const { router, methods, log } = parts;
    this.#releaseLog = log.onWritten(() => {
      for (const exchange of this.#exchanges.values()) exchange.push();
    });
    router.serve(methods.have, ({ chains }, { peer }) => {
      this.#exchangeWith(peer.id).heard(chains);
      return { chains: [...log.heads()] };
    });
    router.serve(methods.pull, ({ wants }, { peer }) => {
      this.#exchangeWith(peer.id);
      return this.#serve(peer.id, () => ({ operations: log.read(wants) }));
    });
    router.serve(methods.push, ({ operations }, { peer }) => {
      const exchange = this.#exchangeWith(peer.id);
      return this.#serve(peer.id, async () => {
        const { refused } = await exchange.accept(operations);
        return { refused: refused.map(({ passing: _, ...refusal }) => refusal) };
      });
    });
  }

  joined(peer: Peer): void {
    const before = this.#exchanges.get(peer.id);
    if (before?.peer === peer) return;
    before?.close();
    const { isShared, mayRead, ...parts } = this.#parts;
    const exchange = new LogExchange({
      ...parts,
      peer,
      isShared,
      mayTell: () => isShared() && mayRead(peer.id),
      claims: this.#claims,
      onReleased: () => {
        for (const other of this.#exchanges.values()) if (other !== exchange) other.released();
      },
      onGrown: (chains) => {
        this.#grown(chains);
        this.#parts.onGrown?.();
      },
    });
    this.#exchanges.set(peer.id, exchange);
    exchange.meet();
  }

  left(id: PeerId): void {
    this.#exchanges.get(id)?.close();
    this.#exchanges.delete(id);
  }

  /** Trust or configuration has changed: what was refused may be taken now. */
  changed(): void {
    for (const exchange of this.#exchanges.values()) exchange.meet();
  }

  close(): void {
    this.#releaseLog();
    this.#releaseTell?.();
    for (const exchange of this.#exchanges.values()) exchange.close();
    this.#exchanges.clear();
  }

  /** @throws SkeinError `denied`, `unavailable`. */
  #exchangeWith(id: PeerId): LogExchange {
    const { isShared, sharedBy } = this.#parts;
    if (!isShared()) throw new SkeinError(`This node does not share it (${sharedBy})`, { code: 'denied' });
    const session = this.#parts.mesh.peers.get(id);
    if (session !== undefined) this.joined(session);
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) throw new SkeinError('The session has just ended', { code: 'unavailable' });
    if (!exchange.isForger) return exchange;
    throw new SkeinError('You brought an operation that its author never signed: nothing more is taken', { code: 'denied' });
  }

  async #serve<T>(id: PeerId, work: () => T | Promise<T>): Promise<T> {
    const running = this.#serving.get(id) ?? 0;
    if (running >= PER_PEER_MAX) {
      throw new SkeinError(`${running} of your pages are being worked on: try again in ${BUSY_MS} ms`, {
        code: 'busy',
        retryAfterMs: BUSY_MS,
      });
    }
    this.#serving.set(id, running + 1);
    try {
      return await work();
    } finally {
      const left = (this.#serving.get(id) ?? 1) - 1;
      if (left > 0) this.#serving.set(id, left);
      else this.#serving.delete(id);
    }
  }

  #grown(chains: readonly ChainHead[]): void {
    for (const chain of chains) {
      // Beyond so many at once, the rest is told when nodes meet again.
      if (this.#news.size < CHAINS_MAX) this.#news.set(chainKey(chain), chain);
    }
    this.#releaseTell ??= this.#parts.clock.after(TELL_MS, () => this.#tell());
  }

  #tell(): void {
    this.#releaseTell = undefined;
    const news = [...this.#news.values()];
    this.#news.clear();
    const told = [...this.#exchanges.values()].map((exchange) => exchange.tell(news));
    if (told.includes(false)) this.#grown(news);
  }
}
