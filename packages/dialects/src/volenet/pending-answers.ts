import { type Clock, Deadlines } from '@skein/mesh';
import { abortReason, SkeinError } from '@skein/protocol';

/** Questions one peer may owe an answer to. */
const PENDING_MAX = 4_096;

interface Pending<Answer> {
  readonly what: string;
  readonly deadlineAtMs: number;
  readonly timeoutMs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: SkeinError) => void;
  readonly release: () => void;
}

/** What this node asked one peer and that peer alone can answer. */
export class PendingAnswers<Answer> {
  readonly #clock: Clock;
  readonly #pending = new Map<string, Pending<Answer>>();
  readonly #deadlines: Deadlines;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (nowMs) => this.#sweep(nowMs));
  }

  get size(): number {
    return this.#pending.size;
  }

  /**
   * Waits for the answer with this id. To be called before the question is sent: the answer may be fast.
   * @throws SkeinError `busy` at the bound; rejects with `deadline-exceeded` and `canceled`.
   */
  open(
    id: string,
    options: { readonly what: string; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<Answer> {
    const { what, timeoutMs, signal } = options;
    if (signal?.aborted) throw abortReason(signal);
    if (this.#pending.size >= PENDING_MAX) {
      throw new SkeinError(`${what}: ${this.#pending.size} others wait for this peer already`, {
        code: 'busy',
        retryAfterMs: 100,
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const abort = () => {
      if (signal !== undefined) this.fail(id, abortReason(signal));
    };
    signal?.addEventListener('abort', abort, { once: true });
    const deadlineAtMs = this.#clock.monotonicMs() + timeoutMs;
    const release = () => signal?.removeEventListener('abort', abort);
    this.#pending.set(id, { what, deadlineAtMs, timeoutMs, resolve, reject, release });
    this.#deadlines.add(deadlineAtMs);
    return promise;
  }

  /** False when nothing waits for it: it came late, twice, or was never asked for. */
  settle(id: string, answer: Answer): boolean {
    const pending = this.#take(id);
    pending?.resolve(answer);
    return pending !== undefined;
  }

  /** The same for one that ends without an answer. */
  fail(id: string, error: SkeinError): boolean {
    const pending = this.#take(id);
    pending?.reject(error);
    return pending !== undefined;
  }

  /** Ends all that wait; they were sent, so what they asked for may have happened. */
  failAll(reason: string): void {
    for (const [id, { what }] of [...this.#pending]) {
      this.fail(id, new SkeinError(`${what}: ${reason}; it may have been done`, { code: 'unavailable' }));
    }
  }

  close(reason: string): void {
    this.failAll(reason);
    this.#deadlines.close();
  }

  #take(id: string): Pending<Answer> | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.release();
    return pending;
  }

  #sweep(nowMs: number): number {
    let nextAtMs = Number.POSITIVE_INFINITY;
    for (const [id, { deadlineAtMs, timeoutMs, what }] of this.#pending) {
      if (deadlineAtMs > nowMs) nextAtMs = Math.min(nextAtMs, deadlineAtMs);
      else this.fail(id, new SkeinError(`${what}: no answer within ${timeoutMs} ms`, { code: 'deadline-exceeded' }));
    }
    return nextAtMs;
  }
}
