import { SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { keepConnected } from './dialer.ts';

/** A dialer whose tries do what `connect` says; `waits` is how long it waited after each. */
async function startDialer(connect: (clock: VirtualClock, attempt: number) => Promise<string>) {
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
    expect(dialer.waits.slice(0, 9)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('begins without a long wait again after a session that lasted, and not after one that did not', async () => {
    const dialer = await startDialer(async (clock, attempt) => {
      if (attempt < 8) return refused();
      await new Promise<void>((resolve) => clock.after(attempt === 8 ? 60_000 : 5_000, resolve));
      return 'the peer left';
    });
    await dialer.clock.advance(400_000);
    expect(dialer.waits.slice(8, 12)).toEqual([250, 500, 1_000, 2_000]);
  });

  it('waits at least as long as the peer asked for', async () => {
    const dialer = await startDialer(() => Promise.reject(new SkeinError('full', { code: 'busy', retryAfterMs: 5_000 })));
    await dialer.clock.advance(20_000);
    expect(dialer.waits.slice(0, 3)).toEqual([5_000, 5_000, 5_000]);
  });

  it('stops in the middle of a wait', async () => {
    const dialer = await startDialer(refused);
    await dialer.clock.advance(10_000);
    dialer.stop.abort();
    await dialer.ended;
  });
});
