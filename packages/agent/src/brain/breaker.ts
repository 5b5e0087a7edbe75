/**
 * A circuit breaker as a pure function of (state, event, now). It is ours, not a library's, because those read the
 * clock themselves, which the simulator must move, and judge one promise, where a stream can still fail after its
 * first part.
 */
export type BreakerState =
  | { readonly type: 'closed'; readonly failures: number }
  /** Nothing is asked before `untilMs`; then one probe is. */
  | { readonly type: 'open'; readonly untilMs: number; readonly failures: number }
  /** A probe is under way since `sinceMs`; others are refused. */
  | { readonly type: 'half-open'; readonly sinceMs: number; readonly failures: number };

export type BreakerEvent =
  /** Something is about to be asked. */
  | { readonly type: 'admitted' }
  | { readonly type: 'succeeded' }
  /** `retryAfterMs` opens it at once: the other side said when it wants to be asked again. */
  | { readonly type: 'failed'; readonly retryAfterMs?: number | undefined }
  /** Neither: the caller stopped, or the request was at fault. */
  | { readonly type: 'abandoned' };

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly maxFailures: number;
  /** How long it then stays open; doubled with each failed probe, up to 16 times as long. */
  readonly openMs: number;
}

export const DEFAULT_BREAKER: BreakerOptions = { maxFailures: 5, openMs: 15_000 };

export const CLOSED: BreakerState = { type: 'closed', failures: 0 };

const MAX_DOUBLINGS = 4;
/** The longest an answer of the other side can keep it open. */
const MAX_OPEN_MS = 600_000;

/** The state after an event. */
export function nextBreaker(state: BreakerState, event: BreakerEvent, now: number, options: BreakerOptions): BreakerState {
  switch (event.type) {
    case 'admitted':
      return state.type === 'closed' ? state : { type: 'half-open', sinceMs: now, failures: state.failures };
    case 'succeeded':
      return CLOSED;
    case 'abandoned':
      return state.type === 'half-open' ? { type: 'open', untilMs: now, failures: state.failures } : state;
    case 'failed': {
      if (state.type === 'open' && state.untilMs > now) {
        // Asked before it opened: it counts, but one burst of failures does not make the pause longer.
        const failures = Math.max(state.failures, Math.min(state.failures + 1, options.maxFailures));
        return { type: 'open', untilMs: Math.max(state.untilMs, now + capped(event.retryAfterMs ?? 0)), failures };
      }
      const failures = state.failures + 1;
      if (event.retryAfterMs === undefined && failures < options.maxFailures) return { type: 'closed', failures };
      const doublings = Math.min(failures - options.maxFailures, MAX_DOUBLINGS);
      const openMs = doublings < 0 ? 0 : options.openMs * 2 ** doublings;
      return { type: 'open', untilMs: now + capped(Math.max(openMs, event.retryAfterMs ?? 0)), failures };
    }
  }
}

/** How long until something may be asked: 0 for now. A probe that never ended stops counting after `probeMs`. */
export function waitOf(state: BreakerState, now: number, probeMs: number): number {
  switch (state.type) {
    case 'closed':
      return 0;
    case 'open':
      return Math.max(0, state.untilMs - now);
    case 'half-open':
      return Math.max(0, state.sinceMs + probeMs - now);
  }
}

function capped(ms: number): number {
  return Math.min(ms, MAX_OPEN_MS);
}
