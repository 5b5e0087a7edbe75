/** Why a run is to end before its own end; the first reason stays. */
export class Stop<Reason extends string> {
  #reason: Reason | undefined;
  readonly #listeners = new Set<() => void>();

  get reason(): Reason | undefined {
    return this.#reason;
  }

  because(reason: Reason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  /**
   * Waits for the work or the stop, whichever is first; rejects as the work does. Unlike `Promise.race` with one
   * long-lived promise it keeps nothing once the work has ended.
   */
  async first(work: Promise<unknown>): Promise<void> {
    if (this.#reason !== undefined) {
      // Nobody waits for it any more, so its failure is of no use either.
      work.catch(() => undefined);
      return;
    }
    const stopped = Promise.withResolvers<void>();
    this.#listeners.add(stopped.resolve);
    try {
      await Promise.race([work, stopped.promise]);
    } finally {
      this.#listeners.delete(stopped.resolve);
    }
  }
}
