import { untilAborted } from './waiting.ts';

/** So many at a time, the others in order. Who waits is bounded by who asks. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Dispose what it gives to let the next one go. @throws the signal's reason. */
  async take(signal: AbortSignal): Promise<Disposable> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(signal);
    return { [Symbol.dispose]: () => this.#give() };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await untilAborted(promise, signal);
    } catch (thrown) {
      const place = this.#waiting.indexOf(resolve);
      if (place === -1) this.#give();
      else this.#waiting.splice(place, 1);
      throw thrown;
    }
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
