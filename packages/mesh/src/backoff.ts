const LEAST_MS = 250;
const MOST_MS = 30_000;

/**
 * How long to wait before the next try, `awayMs` after what is tried was lost: anything up to as long again, so that one
 * that comes back is met within twice the time it was away, and many clients of one server that failed come back spread
 * out ("full jitter").
 */
export function backoffMs(awayMs: number, random: () => number): number {
  return random() * Math.min(MOST_MS, Math.max(LEAST_MS, awayMs));
}
