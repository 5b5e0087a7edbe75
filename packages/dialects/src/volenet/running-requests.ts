import { type Clock, Deadlines } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { VOLE_CALL_MS, VOLE_SEARCH_MS, VOLE_TASK_MS } from './limits.ts';

/** Of each kind: how many run at once, one more being refused with a word, and for how long one may. */
const KINDS = {
  call: { max: 64, timeoutMs: VOLE_CALL_MS },
  task: { max: 8, timeoutMs: VOLE_TASK_MS },
  search: { max: 8, timeoutMs: VOLE_SEARCH_MS },
} as const;

/** A kind of request that runs for a while. */
export type RequestKind = keyof typeof KINDS;

/** One request of a peer: the id it gave it, and who is told when it fails. */
export interface RunningRequest {
  readonly kind: RequestKind;
  readonly id: string;
  readonly what: string;
  readonly fail: (thrown: unknown) => void;
}

interface Running {
  readonly what: string;
  readonly timeoutMs: number;
  readonly dueAtMs: number;
  readonly controller: AbortController;
}

/** What runs for one peer: so many of a kind, for so long, each id once. */
export class RunningRequests {
  readonly #clock: Clock;
  readonly #running: Readonly<Record<RequestKind, Map<string, Running>>> = {
    call: new Map(),
    task: new Map(),
    search: new Map(),
  };
  readonly #deadlines: Deadlines;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (nowMs) => this.#sweep(nowMs));
  }

  /** Runs `work` under a signal that fires at its deadline; what it throws, and a refusal, goes to the request's `fail`. */
  run({ kind, id, what, fail }: RunningRequest, work: (signal: AbortSignal) => Promise<void>): void {
    const { max, timeoutMs } = KINDS[kind];
    const running = this.#running[kind];
    // Asked twice: the first is being done and will be answered.
    if (running.has(id)) return;
    if (running.size >= max) {
      fail(new SkeinError(`busy: ${max} are running for you already; try again in 1 s`, { code: 'busy', retryAfterMs: 1_000 }));
      return;
    }
    const controller = new AbortController();
    const dueAtMs = this.#clock.monotonicMs() + timeoutMs;
    running.set(id, { what, timeoutMs, dueAtMs, controller });
    this.#deadlines.add(dueAtMs);
    // In a turn of its own, so that a host that throws at once is caught as well.
    const done = Promise.resolve(controller.signal).then(work);
    done.catch(fail).finally(() => running.delete(id));
  }

  /** Stops all that runs; what comes after it runs again. */
  stop(reason: string): void {
    for (const { controller } of this.#all()) controller.abort(new SkeinError(`Stopped: ${reason}`, { code: 'canceled' }));
  }

  /** For good. */
  close(reason: string): void {
    this.stop(reason);
    this.#deadlines.close();
  }

  #all(): readonly Running[] {
    return Object.values(this.#running).flatMap((running) => [...running.values()]);
  }

  #sweep(nowMs: number): number {
    let nextAtMs = Number.POSITIVE_INFINITY;
    for (const { what, timeoutMs, dueAtMs, controller } of this.#all()) {
      if (dueAtMs > nowMs) nextAtMs = Math.min(nextAtMs, dueAtMs);
      else if (!controller.signal.aborted) {
        const late = `${what} took longer than the ${timeoutMs} ms its caller waits`;
        controller.abort(new SkeinError(late, { code: 'deadline-exceeded' }));
      }
    }
    return nextAtMs;
  }
}
