import { type PeerId, SkeinError } from '@skein/protocol';
import type { Clock } from '../clock.ts';
import { untilAborted } from '../dialer.ts';
import type { Peer } from './peer.ts';

/** How long a session goes on after another took its place: the other side may not have that one yet. */
const RETIRE_MS = 1_000;
/** And at most, for calls that are under way on it. */
const RETIRE_MAX_MS = 60_000;
const REPLACED = 'a newer session took its place';
const NEVER = new AbortController().signal;

export interface SessionsParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly onJoined: (peer: Peer) => void;
  readonly onLeft: (peer: Peer, reason: string) => void;
  /** One who dialled this node never took up the session. */
  readonly onNotTakenUp: (peer: Peer, error: SkeinError) => void;
}

/** One session with each peer, whoever dialled: which one is kept when there are two, and who waits for its end. */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #peers = new Map<PeerId, Peer>();
  /** One a peer at most: it dialled, and has still to say whether it wants whom it reached. */
  readonly #offered = new Map<PeerId, Peer>();
  /** One a peer at most: a session in whose place there is another, for the calls that still go by it. */
  readonly #retiring = new Map<PeerId, Peer>();
  readonly #waiters = new Map<PeerId, Set<(reason: string) => void>>();

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** The peers with a session now. */
  get peers(): ReadonlyMap<PeerId, Peer> {
    return this.#peers;
  }

  /** Opens a session that the other side dialled. It counts once it is taken up: what comes first may be a refusal. */
  offer(peer: Peer): void {
    const existing = this.#offered.get(peer.id);
    this.#offered.set(peer.id, peer);
    existing?.close(REPLACED);
    peer.open();
  }

  /** One who dialled this node has taken up the session. */
  takenUp(peer: Peer): void {
    if (this.#offered.get(peer.id) === peer) this.#offered.delete(peer.id);
    this.#keep(peer, () => {});
  }

  /** Opens a session that this node dialled, and returns the one that is kept. */
  add(peer: Peer): Peer {
    return this.#keep(peer, () => peer.open());
  }

  #keep(peer: Peer, open: () => void): Peer {
    const existing = this.#peers.get(peer.id);
    if (existing !== undefined && this.#isBetter(existing, peer)) {
      open();
      this.#retire(peer);
      return existing;
    }
    this.#peers.set(peer.id, peer);
    open();
    if (existing !== undefined && this.#isOfBothDialling(existing, peer)) this.#retire(existing);
    else existing?.close(REPLACED);
    this.#parts.onJoined(peer);
    return peer;
  }

  /** A session has closed. */
  closed(peer: Peer, reason: string, refused?: SkeinError): void {
    if (this.#offered.get(peer.id) === peer) {
      this.#offered.delete(peer.id);
      this.#parts.onNotTakenUp(
        peer,
        refused ?? new SkeinError(`It did not take up the session: ${reason}`, { code: 'unavailable' }),
      );
      return;
    }
    if (this.#retiring.get(peer.id) === peer) this.#retiring.delete(peer.id);
    if (this.#peers.get(peer.id) !== peer) return; // Replaced: the peer is still here.
    this.#peers.delete(peer.id);
    this.#parts.onLeft(peer, reason);
    for (const resolve of this.#waiters.get(peer.id) ?? []) resolve(reason);
    this.#waiters.delete(peer.id);
  }

  /** Ends the session with a peer, if there is one. */
  drop(id: PeerId, reason: string): void {
    const offered = this.#offered.get(id);
    this.#offered.delete(id);
    offered?.close(reason);
    this.#retiring.get(id)?.close(reason);
    this.#peers.get(id)?.close(reason);
  }

  /** Resolves with the reason when there is no session with this peer any more. */
  ended(id: PeerId, signal: AbortSignal): Promise<string> {
    if (!this.#peers.has(id)) return Promise.resolve('the session was replaced');
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters);
    const { promise, resolve } = Promise.withResolvers<string>();
    waiters.add(resolve);
    return untilAborted(promise, signal).finally(() => waiters.delete(resolve));
  }

  /** Ends them all, and waits for that. */
  async closeAll(reason: string): Promise<void> {
    const ends = [...this.#peers.keys()].map((id) => this.ended(id, NEVER));
    const offered = [...this.#offered.values()];
    this.#offered.clear();
    for (const peer of [...offered, ...this.#retiring.values(), ...this.#peers.values()]) peer.close(reason);
    await Promise.all(ends);
  }

  /**
   * When both sides dial at once there are two sessions, and both must keep the same one: that which the lower id
   * opened. A restarted peer's old session is dead, whoever opened it.
   */
  #isBetter(existing: Peer, added: Peer): boolean {
    return this.#isOfBothDialling(existing, added) && existing.initiator === this.#parts.self < existing.id;
  }

  #isOfBothDialling(existing: Peer, added: Peer): boolean {
    return existing.isOpen && existing.boot === added.boot && existing.initiator !== added.initiator;
  }

  /** Ends a session that is not the one to keep, once nothing is under way on it: either side may have begun to use it. */
  #retire(peer: Peer): void {
    const { clock } = this.#parts;
    const reason = 'another session took its place';
    this.#retiring.get(peer.id)?.close(reason);
    this.#retiring.set(peer.id, peer);
    const sinceMs = clock.monotonicMs();
    const look = () => {
      if (peer.load === 0 || clock.monotonicMs() - sinceMs >= RETIRE_MAX_MS) peer.close(reason);
      else clock.after(RETIRE_MS, look);
    };
    clock.after(RETIRE_MS, look);
  }
}
