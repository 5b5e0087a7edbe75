import type { AuditLog, Clock, Peer, RevocationLists, Router, TrustStore } from '@skein/mesh';
import { type Identity, type PeerId, REVOCATIONS_MAX, SkeinError, trustRevocations } from '@skein/protocol';
import { Sparingly } from '../sparingly.ts';

/** How long a peer may take to answer. */
const CALL_MS = 10_000;
/** When one that did not take the list is asked again, and a list that could not be kept is made again. */
const AGAIN_MS = 10_000;
/** Lists that are not taken and recorded: a peer may bring as many as it likes. */
const RECORDED_PER_MINUTE = 60;
/** A peer that ends so knows no revocation lists, or wants none of us. */
const FINAL: ReadonlySet<string> = new Set(['not-found', 'denied', 'invalid']);
/** What is wrong with a list itself, which no other try mends. */
const WRONG: ReadonlySet<string> = new Set(['invalid', 'unauthenticated', 'conflict']);

export interface RevocationsParts {
  readonly identity: Identity;
  readonly trust: TrustStore;
  readonly lists: RevocationLists;
  readonly router: Router;
  /** The sessions now. */
  readonly peers: () => ReadonlyMap<PeerId, Peer>;
  /** Whether what this peer revokes is revoked here. */
  readonly isRevoker: (peer: PeerId) => boolean;
  readonly audit: AuditLog;
  readonly clock: Clock;
  /** Told when a list cannot be kept, and when this node's own has no room for all that it should name. */
  readonly onError: (error: SkeinError) => void;
}

/**
 * Tells peers which keys this node revoked for others, and takes the same from those that were made revokers. A list only
 * takes away: nothing in it, or missing from it, gives trust.
 */
export class Revocations {
  readonly #parts: RevocationsParts;
  readonly #recorded: Sparingly;
  readonly #again = new Map<PeerId, () => void>();
  #release: () => void = () => {};
  #releasePublish: () => void = () => {};
  /** What a list had no room for when that was told; one change of the file is many changes of trust. */
  #toldTooMany = '';

  constructor(parts: RevocationsParts) {
    this.#parts = parts;
    this.#recorded = new Sparingly({ maxPerMinute: RECORDED_PER_MINUTE, monotonicMs: parts.clock.monotonicMs });
    parts.router.serve(trustRevocations, ({ list }, { peer }) => {
      if (list !== null) this.#take(peer, list);
      return { list: parts.lists.own };
    });
  }

  /** Makes this node's list from the trust file, now and at each change of it. */
  start(): void {
    this.#publish();
    this.#release = this.#parts.trust.onChange(({ id }) => {
      this.#publish();
      // One that was just made a revoker: what it revoked before counts from now on.
      const peer = this.#parts.peers().get(id);
      if (peer !== undefined && this.#parts.isRevoker(id)) this.#exchange(peer);
    });
  }

  /** Exchanges lists with a peer that has just come. */
  joined(peer: Peer): void {
    const { lists, isRevoker } = this.#parts;
    if (lists.own !== null || isRevoker(peer.id)) this.#exchange(peer);
  }

  close(): void {
    this.#release();
    this.#releasePublish();
    for (const release of this.#again.values()) release();
    this.#again.clear();
  }

  #publish(): void {
    const { trust, lists, identity, peers, clock } = this.#parts;
    this.#releasePublish();
    const ids = trust.list().flatMap(({ identity: { id }, shareRevocation }) => (shareRevocation ? [id] : []));
    this.#tellTooMany(ids);
    try {
      if (!lists.publish(identity, ids)) return;
    } catch (cause) {
      this.#parts.onError(new SkeinError('The revocation list of this node cannot be kept', { code: 'unavailable', cause }));
      this.#releasePublish = clock.after(AGAIN_MS, () => this.#publish());
      return;
    }
    this.#parts.audit.append({ event: 'revocations-published', count: Math.min(ids.length, REVOCATIONS_MAX) });
    for (const peer of peers().values()) this.#exchange(peer);
  }

  /** `skein net revoke` refuses to share so many; people may still write them into the file. */
  #tellTooMany(ids: readonly PeerId[]): void {
    const tooMany = ids.length > REVOCATIONS_MAX ? ids.join() : '';
    if (tooMany === this.#toldTooMany) return;
    this.#toldTooMany = tooMany;
    if (tooMany === '') return;
    const message = `The trust file shares the revocation of ${ids.length} keys, and a list names at most ${REVOCATIONS_MAX}: the others are not shared. Take old lines with "share-revocation" out of the file`;
    this.#parts.onError(new SkeinError(message, { code: 'too-large' }));
  }

  #exchange(peer: Peer): void {
    this.#again.get(peer.id)?.();
    this.#again.delete(peer.id);
    this.#call(peer).catch((error: unknown) => {
      if (FINAL.has(SkeinError.from(error).code) || this.#parts.peers().get(peer.id) !== peer) return;
      const release = this.#parts.clock.after(AGAIN_MS, () => {
        this.#again.delete(peer.id);
        if (this.#parts.peers().get(peer.id) === peer) this.#exchange(peer);
      });
      this.#again.set(peer.id, release);
    });
  }

  async #call(peer: Peer): Promise<void> {
    const { list } = await peer.call(trustRevocations, { list: this.#parts.lists.own }, { timeoutMs: CALL_MS });
    // A list nobody asked for is not its sender's mistake: it cannot know whom we listen to.
    if (list !== null && this.#parts.isRevoker(peer.id)) this.#take(peer, list);
  }

  /** @throws SkeinError `unavailable` for a list that is to be brought again: it could not be put in force or kept. */
  #take(peer: { readonly id: PeerId; readonly name: string }, text: string): void {
    const { lists, trust, identity, isRevoker, audit } = this.#parts;
    if (!isRevoker(peer.id)) {
      this.#record(peer, 'revocations-ignored', 'it is no revoker here');
      return;
    }
    try {
      const opened = lists.open(peer.id, text);
      if (opened === undefined) return;
      const { added, keep } = opened;
      if (added.has(identity.id)) this.#record(peer, 'revocations-ignored', 'it names this node itself');
      const revoked = trust.revokeListed(new Set([...added].filter((id) => id !== identity.id)));
      keep();
      audit.append({ event: 'revocations-applied', peer: peer.id, name: peer.name, count: revoked.length });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      this.#record(peer, 'revocations-refused', error.message);
      if (WRONG.has(error.code)) return;
      if (error.code === 'internal' || error.code === 'unavailable') this.#parts.onError(error);
      throw new SkeinError('The revocation list cannot be taken just now', { code: 'unavailable', cause: thrown });
    }
  }

  #record({ id, name }: { readonly id: PeerId; readonly name: string }, event: string, reason: string): void {
    const left = this.#recorded.admit();
    if (left === undefined) return;
    this.#parts.audit.append({ event, peer: id, name, reason, ...(left === 0 ? {} : { count: left }) });
  }
}
