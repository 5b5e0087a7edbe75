import { SkeinError } from './errors.ts';

declare const brand: unique symbol;

/**
 * A moment on a hybrid logical clock: 12 hex digits of epoch milliseconds and 4 of a counter, so that times compare as
 * texts do. What one saw before it wrote is always earlier than what it wrote, whatever the machines' clocks say.
 */
export type HybridTime = string & { readonly [brand]: 'HybridTime' };

const SHAPE = /^[0-9a-f]{16}$/;
const MS_MAX = 2 ** 48 - 1;
const COUNTER_MAX = 0xffff;

/** Before every other. */
export const HYBRID_TIME_ZERO = hybridTime(0, 0);

/** @throws SkeinError `invalid` unless it is 16 lower-case hex digits. */
export function parseHybridTime(text: string): HybridTime {
  if (!SHAPE.test(text))
    throw new SkeinError(`"${text.slice(0, 40)}" is not a hybrid time: 16 hex digits`, { code: 'invalid' });
  return text as HybridTime; // Proven by the line above.
}

/** The moment of a wall clock, and the how-manieth within it. */
export function hybridTime(ms: number, counter: number): HybridTime {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  // Proven: 12 and 4 hex digits, as the bounds are kept.
  return `${hex(Math.min(Math.max(Math.floor(ms), 0), MS_MAX), 12)}${hex(Math.min(counter, COUNTER_MAX), 4)}` as HybridTime;
}

/** Its epoch milliseconds. */
export function hybridMs(time: HybridTime): number {
  return Number.parseInt(time.slice(0, 12), 16);
}

/** The time of something that happens now, after all that happened until `last`. */
export function nextHybridTime(last: HybridTime, nowMs: number): HybridTime {
  const now = hybridTime(nowMs, 0);
  if (now > last) return now;
  const counter = Number.parseInt(last.slice(12), 16);
  return counter < COUNTER_MAX ? hybridTime(hybridMs(last), counter + 1) : hybridTime(hybridMs(last) + 1, 0);
}
