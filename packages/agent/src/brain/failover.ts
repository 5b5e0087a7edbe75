import { abortReason, type ErrorCode, SkeinError } from '@skein/protocol';
import type { Brain, BrainPart, BrainRequest } from './brain.ts';
import { type BreakerOptions, type BreakerState, CLOSED, DEFAULT_BREAKER, nextBreaker, waitOf } from './breaker.ts';

/** A brain was given up on, and the next one is asked. */
export interface BrainSwitch {
  readonly from: string;
  readonly to: string;
  readonly error: SkeinError;
}

export interface FailoverOptions {
  /** From the call to a brain's first part; then the next brain is asked. */
  readonly attemptMs?: number;
  /** The whole answer, over all brains. */
  readonly totalMs?: number;
  readonly breaker?: Partial<BreakerOptions>;
  /** Told of each switch, before the next brain is asked. It must not throw. */
  readonly onSwitch?: (change: BrainSwitch) => void;
  /** A clock that does not jump. */
  readonly now?: () => number;
}

/** Long, because a model may think or write a tool call before its first part; brains have shorter deadlines of their own. */
const DEFAULT_ATTEMPT_MS = 120_000;
const DEFAULT_TOTAL_MS = 300_000;
/** What another brain may do better; every other code is about the request or the configuration. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set(['unavailable', 'busy', 'deadline-exceeded']);

/**
 * A brain made of brains, asked in order. One that is unavailable, busy or late before its first part gives way to the
 * next; after a part was handed out its failure is the answer's. Each has a circuit breaker, so that one that fails is
 * left alone for a while. With all of them out it throws `unavailable` with the time of the next try.
 */
export function createFailoverBrain(brains: readonly [Brain, ...Brain[]], options: FailoverOptions = {}): Brain {
  return new FailoverBrain(brains, options);
}

interface Member {
  readonly brain: Brain;
  breaker: BreakerState;
}

class FailoverBrain implements Brain {
  readonly name: string;
  readonly #members: readonly Member[];
  readonly #attemptMs: number;
  readonly #totalMs: number;
  readonly #breaker: BreakerOptions;
  readonly #onSwitch: (change: BrainSwitch) => void;
  readonly #now: () => number;

  constructor(brains: readonly [Brain, ...Brain[]], options: FailoverOptions) {
    this.name = brains.map(({ name }) => name).join(', else ');
    this.#members = brains.map((brain) => ({ brain, breaker: CLOSED }));
    this.#attemptMs = options.attemptMs ?? DEFAULT_ATTEMPT_MS;
    this.#totalMs = options.totalMs ?? DEFAULT_TOTAL_MS;
    this.#breaker = { ...DEFAULT_BREAKER, ...options.breaker };
    this.#onSwitch = options.onSwitch ?? (() => undefined);
    this.#now = options.now ?? (() => performance.now());
  }

  async *respond(request: BrainRequest, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<BrainPart> {
    using total = new Deadline({ ms: this.#totalMs, signal, words: 'The whole answer, over all brains, took' });
    let last: { readonly from: string; readonly error: SkeinError } | undefined;
    for (const member of this.#members) {
      if (waitOf(member.breaker, this.#now(), this.#totalMs) > 0) continue;
      if (last) this.#onSwitch({ ...last, to: member.brain.name });
      this.#note(member, { type: 'admitted' });
      const error = yield* this.#ask(member, request, total);
      if (error === undefined) return;
      last = { from: member.brain.name, error };
    }
    throw last?.error ?? this.#allOut();
  }

  /** Hands out a brain's answer; returns the error when the next brain may be asked instead. */
  async *#ask(member: Member, request: BrainRequest, total: Deadline): AsyncGenerator<BrainPart, SkeinError | undefined> {
    using attempt = new Deadline({ ms: this.#attemptMs, signal: total.signal, words: `${member.brain.name} took` });
    const parts = member.brain.respond(request, { signal: attempt.signal })[Symbol.asyncIterator]();
    let begun = false;
    let judged = false;
    try {
      while (true) {
        const { done, value } = await attempt.race(parts.next());
        if (done) break;
        attempt.keep();
        begun = true;
        if (value.type === 'finish') {
          judged = true;
          this.#note(member, { type: 'succeeded' });
        }
        yield value;
      }
      if (judged) return undefined;
      throw new SkeinError(`${member.brain.name} ended without a finish`, { code: 'unavailable' });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      const elsewhere = ELSEWHERE.has(error.code);
      // The caller's own deadline is not the brain's failure.
      const own = !total.signal.aborted;
      if (!judged)
        this.#note(member, elsewhere && own ? { type: 'failed', retryAfterMs: error.retryAfterMs } : { type: 'abandoned' });
      judged = true;
      if (begun || !elsewhere || !own) throw error;
      return error;
    } finally {
      if (!judged) this.#note(member, { type: 'abandoned' });
      parts.return?.().catch(() => undefined); // Left behind: a brain that hangs may never end, and has no reader.
    }
  }

  #note(member: Member, event: Parameters<typeof nextBreaker>[1]): void {
    member.breaker = nextBreaker(member.breaker, event, this.#now(), this.#breaker);
  }

  #allOut(): SkeinError {
    const retryAfterMs = Math.min(...this.#members.map(({ breaker }) => waitOf(breaker, this.#now(), this.#totalMs)));
    return new SkeinError(`No brain can be asked now (${this.name}); the next try is in ${Math.ceil(retryAfterMs / 1_000)} s`, {
      code: 'unavailable',
      retryAfterMs,
    });
  }
}

/** A deadline under a signal, as a signal of its own; `race` ends even when what it waits for does not. */
class Deadline {
  readonly #controller = new AbortController();
  readonly #ended = Promise.withResolvers<never>();
  readonly #outer: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = () => this.#end(abortReason(this.#outer));

  constructor(parts: { readonly ms: number; readonly signal: AbortSignal; readonly words: string }) {
    this.#outer = parts.signal;
    this.#ended.promise.catch(() => undefined); // Whoever waits in `race` gets it; else it has no reader.
    this.#timer = setTimeout(
      () => this.#end(new SkeinError(`${parts.words} longer than ${parts.ms} ms`, { code: 'deadline-exceeded' })),
      parts.ms,
    );
    if (parts.signal.aborted) this.#onAbort();
    else parts.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  race<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#ended.promise]);
  }

  /** The deadline was met; the outer signal still counts. */
  keep(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.#end(new SkeinError('The answer is no longer read', { code: 'canceled' }));
  }

  #end(reason: SkeinError): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onAbort);
    this.#controller.abort(reason);
    this.#ended.reject(reason);
  }
}
