import { expect, it, vi } from 'vitest';
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

it('a timer longer than one of Node can be does not fire at once', async () => {
  let fired = 0;
  const releases = [2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_VALUE].map((ms) => systemClock.after(ms, () => (fired += 1)));
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  for (const release of releases) release();
  expect(fired).toBe(0);
});

it('a timer longer than one of Node can be fires when all of it has passed, and not when taken back in the middle', () => {
  vi.useFakeTimers();
  try {
    const fired: string[] = [];
    systemClock.after(2 ** 32, () => fired.push('kept'));
    const release = systemClock.after(2 ** 32, () => fired.push('released'));
    vi.advanceTimersByTime(2 ** 32);
    release();
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(['kept']);
  } finally {
    vi.useRealTimers();
  }
});
