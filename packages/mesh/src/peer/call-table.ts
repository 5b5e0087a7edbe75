const SLOTS_LEAST = 16;
/** A larger table goes when its last call does. */
const SLOTS_KEPT = 1_024;

/**
 * Calls under way by their number, for numbers that mostly grow: what a `Map` is, without leaving anything behind. A `Map`
 * that sees many come and go replaces its table again and again, and V8 links each old table, with what was in it, to the
 * next, so that a first one in the old generation keeps all later calls alive until a major collection.
 */
export class CallTable<T extends { readonly id: number }> {
  /** Of a length that is a power of two, at most half full. Each entry stands at its number's slot or right behind others. */
  #slots: (T | undefined)[] = emptySlots(SLOTS_LEAST);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    return this.#slots[this.#find(id)];
  }

  /** Takes an entry in; one of the same number goes. */
  add(entry: T): void {
    let at = this.#find(entry.id);
    if (this.#slots[at] === undefined) {
      this.#size += 1;
      if (2 * this.#size > this.#slots.length) {
        this.#grow();
        at = this.#find(entry.id);
      }
    }
    this.#slots[at] = entry;
  }

  /** False when there is none of that number. */
  delete(id: number): boolean {
    const slots = this.#slots;
    const last = slots.length - 1;
    let hole = this.#find(id);
    if (slots[hole] === undefined) return false;
    // What was pushed past this slot by a full one moves up, so that nobody looks for it across a gap.
    for (let at = (hole + 1) & last, next = slots[at]; next !== undefined; at = (at + 1) & last, next = slots[at]) {
      const pushed = (at - next.id) & last;
      if (pushed < ((at - hole) & last)) continue;
      slots[hole] = next;
      hole = at;
    }
    slots[hole] = undefined;
    this.#size -= 1;
    if (this.#size === 0 && slots.length > SLOTS_KEPT) this.#slots = emptySlots(SLOTS_LEAST);
    return true;
  }

  /** All there are now, in no order; what comes and goes meanwhile changes nothing of it. */
  entries(): T[] {
    return this.#slots.filter((entry) => entry !== undefined);
  }

  /** The slot of that number, or the free one where it would stand. */
  #find(id: number): number {
    const slots = this.#slots;
    const last = slots.length - 1;
    let at = id & last;
    for (let entry = slots[at]; entry !== undefined && entry.id !== id; entry = slots[at]) at = (at + 1) & last;
    return at;
  }

  #grow(): void {
    const entries = this.entries();
    this.#slots = emptySlots(2 * this.#slots.length);
    for (const entry of entries) this.#slots[this.#find(entry.id)] = entry;
  }
}

function emptySlots<T>(count: number): (T | undefined)[] {
  return new Array<T | undefined>(count).fill(undefined);
}
