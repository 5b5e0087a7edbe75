import { abortReason, SkeinError } from '@skein/protocol';
import { backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';

/** Two sessions begin at least this far apart, so that one that breaks again and again costs little. */
const SESSION_EVERY_MS = 1_000;
/** A peer may ask to be left alone for so long at most; before the handshake ends, anybody on the way may ask in its name. */
const LEFT_ALONE_MAX_MS = 60_000;

export interface DialerParts {
  /** Opens a session and resolves when it has ended, with the reason. Throws when none came about. */
  readonly connect: (options: { readonly signal: AbortSignal }) => Promise<string>;
  /** How long a session lasts at least when the peer wants it, and the waits begin anew; 0 where only such a one opens. */
  readonly wantedAfterMs?: number;
  /** Told before each wait: why there is no session, and for how long it waits. */
  readonly onProblem: (problem: SkeinError, waitMs: number) => void;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Keeps one session up: connects, waits for its end, and connects again, until the signal fires. Never gives up. */
export async function keepConnected(parts: DialerParts, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const { clock, random, wantedAfterMs = 0 } = parts;
  for (let lostAtMs = clock.monotonicMs(); !signal.aborted; ) {
    const startedAtMs = clock.monotonicMs();
    let problem: SkeinError;
    let leastMs = 0;
    try {
      problem = new SkeinError(await parts.connect({ signal }), { code: 'unavailable' });
      const lastedMs = clock.monotonicMs() - startedAtMs;
      leastMs = SESSION_EVERY_MS - lastedMs;
      if (lastedMs >= wantedAfterMs) lostAtMs = clock.monotonicMs();
    } catch (error) {
      problem = SkeinError.from(error);
    }
    if (signal.aborted) return;
    const askedMs = Math.min(problem.retryAfterMs ?? 0, LEFT_ALONE_MAX_MS);
    const waitMs = Math.max(backoffMs(clock.monotonicMs() - lostAtMs, random), askedMs, leastMs);
    parts.onProblem(problem, waitMs);
    await delay(clock, waitMs, signal);
  }
}

/** Resolves after `ms`, or at once when the signal fires. */
export function delay(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
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
