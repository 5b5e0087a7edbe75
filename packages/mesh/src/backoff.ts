const BASE_MS = 250;
const CAP_MS = 30_000;

/**
 * How long to wait before try number `attempt` (from 0): anything up to a bound that doubles, so that many clients of
 * one server that failed come back spread out ("full jitter").
 */
export function backoffMs(attempt: number, random: () => number): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 20));
}
