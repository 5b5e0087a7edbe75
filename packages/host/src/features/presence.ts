import type { Clock, Mesh, Peer, Router } from '@skein/mesh';
import { type NodeState, type PeerId, presenceState } from '@skein/protocol';

/** Between two announcements: a load may change a thousand times a second. */
const ANNOUNCE_PAUSE_MS = 1_000;

export interface PresenceParts {
  readonly router: Router;
  readonly mesh: Pick<Mesh, 'peers'>;
  readonly clock: Clock;
  /** What this node says of itself to one peer: what it may have think for it depends on who asks. */
  readonly stateFor: (peer: PeerId) => NodeState;
  /** A peer said something new of itself, or left. */
  readonly onChange?: (peer: PeerId) => void;
}

/** What this node and its peers tell each other of themselves: how busy, which brain, which role. Claims, no authority. */
export class Presence {
  readonly #parts: PresenceParts;
  readonly #states = new Map<PeerId, NodeState>();
  /** What each peer was told last, as JSON. */
  readonly #told = new Map<PeerId, string>();
  #release: (() => void) | undefined;
  #again = false;
  #closed = false;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
    parts.router.serve(presenceState, (state, { peer }) => {
      // One whose session has just ended has nothing to say any more.
      if (!parts.mesh.peers.has(peer.id)) return {};
      this.#states.set(peer.id, state);
      parts.onChange?.(peer.id);
      return {};
    });
  }

  /** What a connected peer said last; undefined before it said anything. */
  stateOf(id: PeerId): NodeState | undefined {
    return this.#states.get(id);
  }

  /** How busy a peer is with tasks: (running + queued) / capacity, as it says; infinite for one that takes none. */
  busynessOf(id: PeerId): number {
    const load = this.#states.get(id)?.load;
    return load === undefined || load.capacity === 0 ? Number.POSITIVE_INFINITY : (load.running + load.queued) / load.capacity;
  }

  joined(peer: Peer): void {
    this.#told.delete(peer.id);
    this.#tell(peer);
  }

  left(id: PeerId): void {
    this.#told.delete(id);
    if (this.#states.delete(id)) this.#parts.onChange?.(id);
  }

  /** Something of this node changed: peers are told now, or when the pause since the last time is over. */
  changed(): void {
    if (this.#closed) return;
    if (this.#release !== undefined) {
      this.#again = true;
      return;
    }
    for (const peer of this.#parts.mesh.peers.values()) this.#tell(peer);
    this.#pause();
  }

  close(): void {
    this.#closed = true;
    this.#release?.();
  }

  #pause(): void {
    if (this.#closed) return;
    this.#release ??= this.#parts.clock.after(ANNOUNCE_PAUSE_MS, () => {
      this.#release = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.changed();
    });
  }

  #tell(peer: Peer): void {
    const state = this.#parts.stateFor(peer.id);
    const text = JSON.stringify(state);
    if (this.#told.get(peer.id) === text) return;
    try {
      peer.publish(presenceState, state);
      this.#told.set(peer.id, text);
    } catch {
      // It takes nothing just now, or is leaving; it is told after the pause, or when it is back.
      this.#again = true;
      this.#pause();
    }
  }
}
