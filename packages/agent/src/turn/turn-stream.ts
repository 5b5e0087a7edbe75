import { abortReason, SkeinError } from '@skein/protocol';
import type { AgentEvent } from '../events.ts';
import { EventQueue } from './event-queue.ts';
import { Scope } from './waiting.ts';

/** Events a turn may be ahead of its reader. */
const MAX_WAITING = 64;

export interface TurnStreamParts {
  /** Fires when the caller stopped: then reading throws. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Does the work, and returns the last event; it must end soon after its signal fires. */
  readonly work: (context: {
    readonly emit: (event: AgentEvent) => Promise<void>;
    readonly signal: AbortSignal;
  }) => Promise<AgentEvent>;
}

/**
 * A turn as the events it tells. It begins with the first read; to stop reading (`return`, a `break`) cancels it, at once
 * and also while a read waits. A failure is its last event; only the caller's abort throws.
 */
export class TurnStream implements AsyncIterableIterator<AgentEvent> {
  readonly #parts: TurnStreamParts;
  readonly #queue = new EventQueue<AgentEvent>({ maxWaiting: MAX_WAITING });
  #scope: Scope | undefined;
  #left = false;
  /** Settles when the work ended; it never rejects. */
  #done: Promise<void> = Promise.resolve();

  constructor(parts: TurnStreamParts) {
    this.#parts = parts;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<AgentEvent>> {
    if (this.#scope === undefined && !this.#left) this.#begin();
    return this.#queue.next();
  }

  async return(): Promise<IteratorResult<AgentEvent>> {
    this.#left = true;
    this.#scope?.abort(new SkeinError('Nobody reads the answer any more', { code: 'canceled' }));
    this.#queue.discard();
    await this.#done;
    return { value: undefined, done: true };
  }

  #begin(): void {
    const { signal, timeoutMs } = this.#parts;
    this.#scope = new Scope({ parent: signal, timeoutMs, what: 'The turn' });
    this.#done = this.#work(this.#scope);
  }

  async #work(scope: Scope): Promise<void> {
    const { signal, work } = this.#parts;
    try {
      const last = await work({ emit: (event) => this.#queue.push(event), signal: scope.signal });
      this.#queue.end(last);
    } catch (thrown) {
      if (signal.aborted) {
        this.#queue.fail(abortReason(signal));
      } else {
        const { code, message } = SkeinError.from(thrown);
        this.#queue.end({ type: 'error', code, message });
      }
    } finally {
      // Whatever a failed turn left running stops here.
      scope.abort(new SkeinError('The turn has ended', { code: 'canceled' }));
      scope[Symbol.dispose]();
    }
  }
}
