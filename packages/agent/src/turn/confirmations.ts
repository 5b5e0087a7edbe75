import { SkeinError } from '@skein/protocol';
import { Scope, untilAborted } from './waiting.ts';

const MAX_WAITING = 1_024;

/** Questions that wait for a person's yes or no, by an id that cannot be guessed. */
export class Confirmations {
  readonly #randomId: () => string;
  readonly #waiting = new Map<string, (approve: boolean) => void>();

  constructor(parts: { readonly randomId: () => string }) {
    this.#randomId = parts.randomId;
  }

  /**
   * Asks (with the id to answer to) and waits for the answer.
   * @throws SkeinError `deadline-exceeded` when nobody answers in time, or the signal's reason.
   */
  async ask(
    show: (id: string) => Promise<void>,
    options: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<boolean> {
    if (this.#waiting.size >= MAX_WAITING) throw new SkeinError('Too many questions wait for a person', { code: 'busy' });
    const id = this.#randomId();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.set(id, resolve);
    using scope = new Scope({ parent: options.signal, timeoutMs: options.timeoutMs, what: 'The confirmation' });
    try {
      await untilAborted(show(id), scope.signal);
      return await untilAborted(promise, scope.signal);
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** False when nothing with this id waits. Only the first answer counts. */
  answer(id: string, approve: boolean): boolean {
    const resolve = this.#waiting.get(id);
    this.#waiting.delete(id);
    resolve?.(approve);
    return resolve !== undefined;
  }
}
