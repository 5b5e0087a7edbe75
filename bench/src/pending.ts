import type { Payload } from './payload.ts';

/** Calls that wait for their answer, by number. */
export class PendingCalls {
  readonly #waiting = new Map<number, (result: Payload) => void>();
  #last = 0;

  /** A new call: its number, and its answer to come. */
  open(): { readonly id: number; readonly answer: Promise<Payload> } {
    this.#last += 1;
    const { promise, resolve } = Promise.withResolvers<Payload>();
    this.#waiting.set(this.#last, resolve);
    return { id: this.#last, answer: promise };
  }

  settle(id: number, result: Payload): void {
    const resolve = this.#waiting.get(id);
    if (resolve === undefined) throw new Error(`An answer to call ${id}, which was not made`);
    this.#waiting.delete(id);
    resolve(result);
  }
}
