import { abortReason, SkeinError } from '@skein/protocol';
import { backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';

/** A session that lasted this long was a good one: the next try begins without a wait again. */
const GOOD_SESSION_MS = 10_000;

export interface DialerParts {
  /** Opens a session and resolves when it has ended, with the reason. Throws when none came about. */
  readonly connect: (options: { readonly signal: AbortSignal }) => Promise<string>;
  /** Told before each wait: why there is no session, and for how long it waits. */
  readonly onProblem: (problem: SkeinError, waitMs: number) => void;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Keeps one session up: connects, waits for its end, and connects again, until the signal fires. Never gives up. */
export async function keepConnected(parts: DialerParts, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const { clock } = parts;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const startedAtMs = clock.monotonicMs();
    let problem: SkeinError;
    try {
      problem = new SkeinError(await parts.connect({ signal }), { code: 'unavailable' });
    } catch (error) {
      problem = SkeinError.from(error);
    }
    if (signal.aborted) return;
    if (clock.monotonicMs() - startedAtMs >= GOOD_SESSION_MS) attempt = 0;
    const waitMs = Math.max(backoffMs(attempt, parts.random), problem.retryAfterMs ?? 0);
    parts.onProblem(problem, waitMs);
    await delay(clock, waitMs, signal);
  }
}

/** Resolves after `ms`, or at once when the signal fires. */
export function delay(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      release();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const release = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Rejects with the signal's reason when it fires before `ended` settles. */
export function untilAborted<T>(ended: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(abortReason(signal));
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    ended.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
