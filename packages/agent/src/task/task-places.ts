import type { PeerId } from '@skein/protocol';

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

  /** Places on this node that tasks of one sender may take now. */
  freeFor(sender: PeerId): number {
    const { self, capacity } = this.#parts;
    const free = capacity - this.#here;
    if (sender === self) return free;
    return Math.min(free, Math.max(1, capacity - 1) - (this.#hereOf.get(sender) ?? 0));
  }

  /** Takes a place for a task of this sender. What it returns gives it back, once. */
  take(sender: PeerId, { here }: { readonly here: boolean }): () => void {
    this.#change(sender, here, 1);
    return () => this.#change(sender, here, -1);
  }

  #change(sender: PeerId, here: boolean, by: 1 | -1): void {
    if (!here) {
      this.#elsewhere += by;
      return;
    }
    this.#here += by;
    const count = (this.#hereOf.get(sender) ?? 0) + by;
    if (count > 0) this.#hereOf.set(sender, count);
    else this.#hereOf.delete(sender);
  }
}
