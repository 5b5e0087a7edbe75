/**
 * Events from several producers to one reader, with a bound: a producer that fills it waits until the reader has taken
 * some. After `end`, what is left is still read and nothing more is taken in.
 */
export class EventQueue<T> {
  readonly #maxWaiting: number;
  #events: T[] = [];
  #producers: (() => void)[] = [];
  #reader: { resolve(result: IteratorResult<T>): void; reject(thrown: unknown): void } | undefined;
  #ended = false;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(parts: { readonly maxWaiting: number }) {
    this.#maxWaiting = parts.maxWaiting;
  }

  /** Resolves once there is room behind the event, or at once when nobody reads any more. */
  async push(event: T): Promise<void> {
    if (this.#ended) return;
    this.#put(event);
    if (this.#events.length > this.#maxWaiting) await new Promise<void>((resolve) => this.#producers.push(resolve));
  }

  /** Ends after the last event, which never waits for room. */
  end(last?: T): void {
    if (this.#ended) return;
    if (last !== undefined) this.#put(last);
    this.#ended = true;
    this.#release();
    if (this.#events.length === 0) this.#settleReader();
  }

  /** Ends with an error, in place of what was not read yet. */
  fail(thrown: unknown): void {
    if (this.#ended) return;
    this.#failure = { thrown };
    this.discard();
  }

  /** Ends, and drops what was not read. */
  discard(): void {
    this.#ended = true;
    this.#events = [];
    this.#release();
    this.#settleReader();
  }

  /** The next event; one read at a time. */
  next(): Promise<IteratorResult<T>> {
    const [event] = this.#events;
    if (event !== undefined) {
      this.#events.shift();
      if (this.#events.length <= this.#maxWaiting) this.#release();
      return Promise.resolve({ value: event, done: false });
    }
    return new Promise((resolve, reject) => {
      this.#reader?.resolve({ value: undefined, done: true });
      this.#reader = { resolve, reject };
      if (this.#ended) this.#settleReader();
    });
  }

  #put(event: T): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader === undefined) this.#events.push(event);
    else reader.resolve({ value: event, done: false });
  }

  #settleReader(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    const failure = this.#failure;
    if (reader === undefined) return;
    this.#failure = undefined;
    if (failure === undefined) reader.resolve({ value: undefined, done: true });
    else reader.reject(failure.thrown);
  }

  #release(): void {
    const producers = this.#producers;
    this.#producers = [];
    for (const resolve of producers) resolve();
  }
}
