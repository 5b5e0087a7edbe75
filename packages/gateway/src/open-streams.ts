import { SkeinError } from '@skein/protocol';

/** The answers being streamed just now: bounded, and ended together when the gateway closes. */
export class OpenStreams {
  readonly #max: number;
  readonly #open = new Set<AbortController>();
  #closed = false;

  constructor(parts: { readonly max: number }) {
    this.#max = parts.max;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * A place for one more; `release` gives it back.
   * @throws SkeinError `busy` when all are taken, `unavailable` after `close`.
   */
  take(): AbortController {
    if (this.#closed) throw new SkeinError('This node is stopping', { code: 'unavailable' });
    if (this.#open.size >= this.#max) {
      throw new SkeinError(`${this.#max} answers are being streamed already; close one or come back`, {
        code: 'busy',
        retryAfterMs: 1_000,
      });
    }
    const controller = new AbortController();
    this.#open.add(controller);
    return controller;
  }

  release(controller: AbortController): void {
    this.#open.delete(controller);
  }

  /** Stops what every open stream is doing, and takes no more. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#open) {
      controller.abort(new SkeinError('This node is stopping', { code: 'unavailable' }));
    }
  }
}
