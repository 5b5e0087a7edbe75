import { SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { keepConnected } from './dialer.ts';

/** A dialer whose tries do what `connect` says; `waits` is how long it waited after each. */
async function startDialer(
  connect: (clock: VirtualClock, attempt: number) => Promise<string>,
  options: { readonly wantedAfterMs?: number } = {},
) {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const waits: number[] = [];
  let attempts = 0;
  const ended = keepConnected(
    {
      clock,
      random: () => 1,
      connect: () => connect(clock, attempts++),
      onProblem: (_problem, waitMs) => waits.push(waitMs),
      ...options,
    },
    { signal: stop.signal },
  );
  await clock.advance(0);
  return { clock, stop, waits, ended, attempts: () => attempts };
}

const refused = () => Promise.reject(new SkeinError('Nobody answers', { code: 'unavailable' }));

describe('a dialer', () => {
  it('never gives up: an hour later it still tries every 30 s', async () => {
    const dialer = await startDialer(refused);
    await dialer.clock.advance(3_600_000);
    const before = dialer.attempts();
    await dialer.clock.advance(3_600_000);
    expect(dialer.attempts() - before).toBe(120);
    expect(dialer.waits.slice(0, 10)).toEqual([250, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('begins without a long wait again after a session, and not more than one session a second', async () => {
    const dialer = await startDialer(async (clock, attempt) => {
      if (attempt % 9 < 8) return refused();
      await new Promise<void>((resolve) => clock.after(attempt === 8 ? 60_000 : 300, resolve));
      return 'the peer left';
    });
    await dialer.clock.advance(300_000);
    expect(dialer.waits.slice(7, 11)).toEqual([16_000, 250, 250, 500]);
    expect(dialer.waits.slice(16, 20)).toEqual([30_000, 700, 700, 1_400]);
  });

  it('is not fooled by one that takes each session and ends it, where only its length shows that it is wanted', async () => {
    const dialer = await startDialer(
      async (clock, attempt) => {
        await new Promise<void>((resolve) => clock.after(attempt === 6 ? 10_000 : 900, resolve));
        return 'the peer left';
      },
      { wantedAfterMs: 10_000 },
    );
    await dialer.clock.advance(300_000);
    expect(dialer.waits.slice(0, 10)).toEqual([900, 2_700, 6_300, 13_500, 27_900, 30_000, 250, 1_150, 3_200, 7_300]);
  });

  it('waits at least as long as the peer asked for', async () => {
    const dialer = await startDialer(() => Promise.reject(new SkeinError('full', { code: 'busy', retryAfterMs: 5_000 })));
    await dialer.clock.advance(20_000);
    expect(dialer.waits.slice(0, 2)).toEqual([5_000, 5_000]);
  });

  it('tries again within a minute, however long it was asked to stay away', async () => {
    const dialer = await startDialer(() => Promise.reject(new SkeinError('full', { code: 'busy', retryAfterMs: 2 ** 32 - 1 })));
    await dialer.clock.advance(120_000);
    expect(dialer.waits.slice(0, 2)).toEqual([60_000, 60_000]);
  });

  it('stops at once when that is what its problem leads to', async () => {
    const clock = new VirtualClock();
    const stop = new AbortController();
    const ended = keepConnected(
      { clock, random: () => 1, connect: refused, onProblem: () => stop.abort() },
      { signal: stop.signal },
    );
    await ended;
    expect(clock.monotonicMs()).toBe(0);
  });

  it('stops in the middle of a wait', async () => {
    const dialer = await startDialer(refused);
    await dialer.clock.advance(10_000);
    dialer.stop.abort();
    await dialer.ended;
  });
});
