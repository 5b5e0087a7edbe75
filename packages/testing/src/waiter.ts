/** Things that came, for tests that wait for one of them. */
export class Waiter<Item> {
  readonly items: Item[] = [];
  readonly #waiting = new Set<{ readonly fits: (item: Item) => boolean; readonly resolve: (item: Item) => void }>();

  push(item: Item): void {
    this.items.push(item);
    for (const waiting of this.#waiting) {
      if (!waiting.fits(item)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(item);
    }
  }

  /** The first item that fits, of those that came or of those to come. */
  find(fits: (item: Item) => boolean): Promise<Item> {
    const there = this.items.find(fits);
    return there === undefined ? this.next(fits) : Promise.resolve(there);
  }

  /** The first item that fits of those to come. */
  next(fits: (item: Item) => boolean): Promise<Item> {
    return new Promise((resolve) => this.#waiting.add({ fits, resolve }));
  }
}
