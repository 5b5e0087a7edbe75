import type { AuditLog, CheckpointFile, Clock, Peer, Router, TrustStore } from '@skein/mesh';
import { type AuditCheckpoint, openAuditCheckpoint, type PeerId, SkeinError, trustCheckpoint } from '@skein/protocol';
import type { HostEvent } from '../events.ts';

/** Peers that keep this node's checkpoints at one time. */
const WITNESSES = 3;
/** How long a peer may take to answer. */
const CALL_MS = 10_000;
/** Between two checkpoints that are kept of one peer: each is a write to the disk. */
const KEEP_PAUSE_MS = 5_000;
/** When a peer that could not answer is asked again. */
const AGAIN_MS = 10_000;

export interface AuditCheckpointsParts {
  /** This node's key and its former ones. */
  readonly ownIds: ReadonlySet<PeerId>;
  readonly trust: TrustStore;
  readonly audit: AuditLog;
  /** What this node keeps for peers, by the peer. */
  readonly held: CheckpointFile;
  /** What peers keep for this node, by the peer. */
  readonly witnesses: CheckpointFile;
  readonly router: Router;
  /** The sessions now. */
  readonly peers: () => ReadonlyMap<PeerId, Peer>;
  /** Whether a peer may keep this node's checkpoints: one that is trusted in full. */
  readonly mayKeep: (peer: PeerId) => boolean;
  readonly clock: Clock;
  readonly onEvent: (event: HostEvent) => void;
}

type Named = Pick<Peer, 'id' | 'name'>;

/**
 * Gives the checkpoints of this node's audit log to up to three peers and compares the log with what they gave back, so
 * that it cannot be changed by one who has this machine alone; and keeps theirs for peers.
 */
export class AuditCheckpoints {
  readonly #parts: AuditCheckpointsParts;
  readonly #release: () => void;
  /** Peers whose checkpoint this log does not fit: what they keep is not written over. */
  readonly #contradicting = new Set<PeerId>();
  /** When a checkpoint of a peer was kept last; as many as there are peers that called. */
  readonly #keptAtMs = new Map<PeerId, number>();
  /** Takes back a further exchange, by the peer it is with. */
  readonly #again = new Map<PeerId, () => void>();

  constructor(parts: AuditCheckpointsParts) {
    this.#parts = parts;
    parts.router.serve(trustCheckpoint, ({ checkpoint }, { peer }) => ({ held: this.#keep(peer, checkpoint) }));
    this.#release = parts.audit.onCheckpoint((checkpoint) => {
      for (const peer of this.#chosen()) this.#give(peer, checkpoint);
    });
  }

  /** Asks a peer that has just come what it keeps, before it is given anything new. */
  joined(peer: Peer): void {
    if (!this.#parts.mayKeep(peer.id)) return;
    this.#exchange(peer, null)
      .then(() => {
        const { checkpoint } = this.#parts.audit;
        if (checkpoint !== undefined && this.#chosen().includes(peer)) this.#give(peer, checkpoint);
      })
      .catch((error: unknown) => this.#failed(peer, SkeinError.from(error)));
  }

  /** Forgets what is only kept while a peer is here. */
  left(id: PeerId): void {
    this.#keptAtMs.delete(id);
    this.#again.get(id)?.();
    this.#again.delete(id);
  }

  close(): void {
    this.#release();
    for (const release of this.#again.values()) release();
    this.#again.clear();
  }

  #chosen(): readonly Peer[] {
    const { peers, mayKeep } = this.#parts;
    return [...peers().values()]
      .filter(({ id }) => mayKeep(id) && !this.#contradicting.has(id))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, WITNESSES);
  }

  #give(peer: Peer, checkpoint: string): void {
    this.#exchange(peer, checkpoint)
      .then(() => {
        if (!this.#contradicting.has(peer.id)) this.#parts.witnesses.set(peer.id, checkpoint);
      })
      .catch((error: unknown) => this.#failed(peer, SkeinError.from(error)));
  }

  async #exchange(peer: Peer, checkpoint: string | null): Promise<void> {
    const { held } = await peer.call(trustCheckpoint, { checkpoint }, { timeoutMs: CALL_MS });
    if (held !== null && held !== this.#parts.witnesses.get(peer.id)) await this.#compare(peer, held);
  }

  async #compare(peer: Named, held: string): Promise<void> {
    const { ownIds, audit, witnesses } = this.#parts;
    const kept = openAuditCheckpoint(held);
    if (!ownIds.has(kept.issuer.id)) throw new SkeinError('It gave back a checkpoint of another node', { code: 'invalid' });
    switch (await audit.compare(kept)) {
      case 'fits':
        witnesses.set(peer.id, held);
        break;
      case 'does-not-fit':
        this.#contradicting.add(peer.id);
        // The next start, and `skein doctor`, find what it does not fit.
        witnesses.set(peer.id, held);
        this.#tell(
          peer,
          'audit-tampered',
          `the audit log of this node was changed: it keeps record ${kept.count} of it, and that is not there any more`,
        );
        break;
      case 'other-log':
        this.#tell(
          peer,
          'audit-other-log',
          `it keeps record ${kept.count} of another audit log than this node has now; if nobody began a new one, the old one was taken away`,
        );
        break;
      case 'gone':
        this.#tell(
          peer,
          'audit-not-comparable',
          `it keeps record ${kept.count} of this node's audit log, which is older than all that is kept`,
        );
        break;
    }
  }

  #failed(peer: Peer, error: SkeinError): void {
    if (error.mayPass && this.#parts.peers().get(peer.id) === peer) {
      this.#exchangeAgain(peer);
      return;
    }
    // One of an older version, or one that is leaving, keeps nothing; that is no problem of this node.
    if (error.code !== 'invalid' && error.code !== 'unauthenticated') return;
    this.#tell(peer, 'checkpoint-refused', error.message);
  }

  #exchangeAgain(peer: Peer): void {
    this.#again.get(peer.id)?.();
    const release = this.#parts.clock.after(AGAIN_MS, () => {
      this.#again.delete(peer.id);
      if (this.#parts.peers().get(peer.id) === peer) this.joined(peer);
    });
    this.#again.set(peer.id, release);
  }

  #keep(peer: Named, checkpoint: string | null): string | null {
    const { held, clock } = this.#parts;
    const before = held.get(peer.id) ?? this.#ofFormerKey(peer.id) ?? null;
    if (checkpoint === null || checkpoint === before) return before;
    const nowMs = clock.monotonicMs();
    const waitMs = (this.#keptAtMs.get(peer.id) ?? Number.NEGATIVE_INFINITY) + KEEP_PAUSE_MS - nowMs;
    if (waitMs > 0) {
      throw new SkeinError('A checkpoint was kept a moment ago', { code: 'busy', retryAfterMs: Math.ceil(waitMs) });
    }
    const next = openAuditCheckpoint(checkpoint);
    if (next.issuer.id !== peer.id) {
      throw new SkeinError('A checkpoint is kept for its issuer alone', { code: 'unauthenticated' });
    }
    if (before !== null) this.#compareKept(peer, openAuditCheckpoint(before), next);
    held.set(peer.id, checkpoint);
    this.#keptAtMs.set(peer.id, nowMs);
    return before;
  }

  /** A log only grows: one that does not was changed over there, whatever that node says itself. */
  #compareKept(peer: Named, before: AuditCheckpoint, next: AuditCheckpoint): void {
    if (next.log !== before.log) {
      this.#tell(
        peer,
        'checkpoint-other-log',
        `it has another audit log now than that of which ${before.count} records were kept`,
      );
    } else if (next.count < before.count || (next.count === before.count && next.head !== before.head)) {
      this.#tell(
        peer,
        'checkpoint-went-back',
        `its audit log had ${before.count} records and has ${next.count} now: it was changed`,
      );
    }
  }

  #ofFormerKey(id: PeerId): string | undefined {
    const former = this.#parts.trust.list().find(({ successor }) => successor === id);
    return former === undefined ? undefined : this.#parts.held.get(former.identity.id);
  }

  #tell({ id, name }: Named, event: string, problem: string): void {
    this.#parts.audit.append({ event, peer: id, name, reason: problem });
    this.#parts.onEvent({ type: 'peer-problem', id, name, problem });
  }
}
