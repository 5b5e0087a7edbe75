import type { PeerId } from '@skein/protocol';
import type { TaskOwner } from './task.ts';

export interface TaskPlacesParts {
  readonly self: PeerId;
  /** Tasks that run on this node at once. */
  readonly capacity: number;
  /** Tasks that other nodes run for this one at once. */
  readonly maxForwarded: number;
}

/**
 * Where tasks run, and who may begin another. Another node never has the last place of several on this one, so that this
 * node's own work, and that of a third one, finds it.
 */
export class TaskPlaces {
  readonly #parts: TaskPlacesParts;
  /** By who handed them over; no more than places. */
  readonly #hereOf = new Map<PeerId, number>();
  /** By who has them; no more than places. */
  readonly #elsewhereAt = new Map<PeerId, number>();
  #here = 0;
  #elsewhere = 0;

  constructor(parts: TaskPlacesParts) {
    this.#parts = parts;
  }

  /** Tasks that run on this node. */
  get here(): number {
    return this.#here;
  }

  /** Whether another node may be given one. */
  get isElsewhereFree(): boolean {
    return this.#elsewhere < this.#parts.maxForwarded;
  }

  /** Tasks that one other node was given and has not ended. */
  forwardedTo(peer: PeerId): number {
    return this.#elsewhereAt.get(peer) ?? 0;
  }

  /** Places on this node that tasks of one sender may take now. */
  freeFor(sender: PeerId): number {
    const { self, capacity } = this.#parts;
    const free = capacity - this.#here;
    if (sender === self) return free;
    return Math.min(free, Math.max(1, capacity - 1) - (this.#hereOf.get(sender) ?? 0));
  }

  /** Takes a place with this owner for a task of this sender. What it returns gives it back, once. */
  take(sender: PeerId, owner: TaskOwner): () => void {
    this.#change(sender, owner, 1);
    return () => this.#change(sender, owner, -1);
  }

  #change(sender: PeerId, owner: TaskOwner, by: 1 | -1): void {
    if (owner === 'me') {
      this.#here += by;
      count(this.#hereOf, sender, by);
    } else {
      this.#elsewhere += by;
      count(this.#elsewhereAt, owner, by);
    }
  }
}

function count(counts: Map<PeerId, number>, id: PeerId, by: 1 | -1): void {
  const counted = (counts.get(id) ?? 0) + by;
  if (counted > 0) counts.set(id, counted);
  else counts.delete(id);
}
