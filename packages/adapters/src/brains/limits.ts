import { abortReason, SkeinError } from '@skein/protocol';

/** How long one answer may take. */
export interface BrainTimeouts {
  /** From the call to the first thing the model says; a local model may have to be loaded first. */
  readonly firstPartMs: number;
  /** Between two parts. */
  readonly idleMs: number;
  /** The whole answer, the reader's own pauses included. */
  readonly totalMs: number;
}

export const DEFAULT_TIMEOUTS: BrainTimeouts = { firstPartMs: 60_000, idleMs: 45_000, totalMs: 300_000 };

/** The deadlines of one call and the caller's signal, as one signal. Disposing it stops whatever still runs under it. */
export class CallLimits {
  readonly #controller = new AbortController();
  readonly #ended = Promise.withResolvers<never>();
  readonly #label: string;
  readonly #caller: AbortSignal;
  readonly #total: NodeJS.Timeout;
  #step: NodeJS.Timeout | undefined;
  readonly #onCallerAbort = () => this.#end(abortReason(this.#caller));

  constructor(parts: { readonly label: string; readonly signal: AbortSignal; readonly totalMs: number }) {
    this.#label = parts.label;
    this.#caller = parts.signal;
    this.#ended.promise.catch(() => undefined); // Whoever waits in `race` gets it; when nobody waits it has no reader.
    this.#total = setTimeout(() => this.#expire(parts.totalMs, 'a whole answer'), parts.totalMs);
    if (parts.signal.aborted) this.#onCallerAbort();
    else parts.signal.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it ended, when a deadline or the caller ended it. */
  get reason(): SkeinError | undefined {
    return this.signal.aborted ? abortReason(this.signal) : undefined;
  }

  /** Starts the deadline of the next step, in place of the one before. */
  arm(ms: number, awaited: string): void {
    clearTimeout(this.#step);
    this.#step = setTimeout(() => this.#expire(ms, awaited), ms);
  }

  disarm(): void {
    clearTimeout(this.#step);
  }

  /** The promise's value, or the reason the call ended with, even when the promise never settles. */
  race<T>(promise: PromiseLike<T>): Promise<T> {
    return Promise.race([promise, this.#ended.promise]);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#total);
    clearTimeout(this.#step);
    this.#caller.removeEventListener('abort', this.#onCallerAbort);
    this.#controller.abort(new SkeinError('The answer is no longer read', { code: 'canceled' }));
  }

  #expire(ms: number, awaited: string): void {
    this.#end(new SkeinError(`${this.#label} did not send ${awaited} within ${ms} ms`, { code: 'deadline-exceeded' }));
  }

  #end(reason: SkeinError): void {
    clearTimeout(this.#total);
    clearTimeout(this.#step);
    this.#controller.abort(reason);
    this.#ended.reject(reason);
  }
}
