import { expect, it } from 'vitest';
import { systemClock } from './clock.ts';

it('a timer never fires before its time, fractions of a millisecond included, and not at all once taken back', async () => {
  const late = await Promise.all(
    Array.from({ length: 400 }, (_, index) => {
      const ms = 1 + index / 13.7;
      const sinceMs = systemClock.monotonicMs();
      return new Promise<number>((resolve) => {
        // A timer of the clock does not keep the process alive; this one does, for the test.
        const kept = setTimeout(() => {}, 5_000);
        systemClock.after(ms, () => {
          clearTimeout(kept);
          resolve(systemClock.monotonicMs() - sinceMs - ms);
        });
      });
    }),
  );
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  let fired = false;
  const release = systemClock.after(1, () => {
    fired = true;
  });
  release();
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  expect(fired).toBe(false);
});
