import { SkeinError } from '@skein/protocol';
import { turns, VirtualClock } from '@skein/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALICE, BOB } from '../../test/test-tasks.ts';
import { TokenBudget } from './token-budget.ts';

const never = new AbortController().signal;

test('however many calls are made at once, what they use stays within the bound and one call', async () => {
  const call = fc.record({ used: fc.integer({ min: 0, max: 400 }), holds: fc.nat({ max: 4 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
      const budget = new TokenBudget({ clock: new VirtualClock(), maxPerHour: 1_000 });
      let sum = 0;
      const ends = await Promise.all(
        calls.map(async ({ used, holds }) => {
          try {
            const leave = await budget.enter(ALICE, 400, never);
            await turns(holds);
            leave(used);
            sum += used;
            return 'ran';
          } catch (thrown) {
            return SkeinError.from(thrown).code;
          }
        }),
      );
      expect(sum).toBeLessThanOrEqual(1_400);
      expect(ends.every((end) => end === 'ran' || (end === 'busy' && sum >= 1_000))).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('what was used counts for an hour, to the minute', async () => {
  const clock = new VirtualClock();
  const budget = new TokenBudget({ clock, maxPerHour: 1_000 });
  for (let minute = 0; minute < 10; minute += 1) {
    budget.add(ALICE, 100);
    await clock.advance(61_000);
  }
  expect(() => budget.check(ALICE)).toThrow(/try again in 51 min/);
  await clock.advance(51 * 60_000);
  budget.check(ALICE);
  budget.add(ALICE, 100);
  expect(() => budget.check(ALICE)).toThrow();
});

test('near the bound, a call waits for the one before and is refused when that used it up', async () => {
  const budget = new TokenBudget({ clock: new VirtualClock(), maxPerHour: 1_000 });
  budget.add(ALICE, 500);
  const leave = await budget.enter(ALICE, 400, never);
  const second = budget.enter(ALICE, 400, never).catch((thrown: unknown) => thrown);
  let settled = false;
  void second.then(() => {
    settled = true;
  });
  await turns(4);
  expect(settled).toBe(false);
  leave(600);
  expect(await second).toMatchObject({ code: 'busy', retryAfterMs: expect.any(Number) });
  await budget.enter(BOB, 400, never);
});

test('a call that waits lets go with its signal', async () => {
  const budget = new TokenBudget({ clock: new VirtualClock(), maxPerHour: 1_000 });
  await budget.enter(ALICE, 900, never);
  const controller = new AbortController();
  const waiting = budget.enter(ALICE, 900, controller.signal);
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
});
