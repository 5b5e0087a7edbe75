/** What happens, for as many readers as like to know; each gets everything from its subscription on, in order. */
export class Feed<Event> {
  readonly #bound: number;
  readonly #readers = new Set<Reader<Event>>();

  /** A reader that falls more than `bound` events behind loses its oldest ones. */
  constructor(bound = 1_000) {
    this.#bound = bound;
  }

  /** Whether anybody listens now. */
  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  publish(event: Event): void {
    for (const reader of this.#readers) {
      reader.events.push(event);
      if (reader.events.length > this.#bound) reader.events.shift();
      reader.wake();
    }
  }

  /** The events from now on, until the signal fires. */
  subscribe({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Event> {
    const reader: Reader<Event> = { events: [], wake: () => {} };
    if (!signal.aborted) this.#readers.add(reader);
    // Also for a subscription that is never iterated.
    signal.addEventListener('abort', () => this.#readers.delete(reader), { once: true });
    return this.#read(reader, signal);
  }

  async *#read(reader: Reader<Event>, signal: AbortSignal): AsyncGenerator<Event> {
    const stop = () => reader.wake();
    signal.addEventListener('abort', stop, { once: true });
    try {
      while (!signal.aborted) {
        const event = reader.events.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', stop);
      this.#readers.delete(reader);
    }
  }
}

interface Reader<Event> {
  readonly events: Event[];
  wake: () => void;
}
