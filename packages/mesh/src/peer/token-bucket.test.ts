import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.ts';

it('lets its rate through, and one second’s worth at once, whatever the pattern', () => {
  const step = fc.record({ afterMs: fc.integer({ min: 0, max: 5_000 }), tries: fc.integer({ min: 1, max: 300 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), fc.array(step, { maxLength: 20 }), (perSecond, steps) => {
      const bucket = new TokenBucket(perSecond, 0);
      let nowMs = 0;
      let taken = 0;
      for (const { afterMs, tries } of steps) {
        nowMs += afterMs;
        for (let index = 0; index < tries; index += 1) if (bucket.take(1, nowMs) === 0) taken += 1;
      }
      expect(taken).toBeLessThanOrEqual(perSecond + (nowMs * perSecond) / 1_000);
    }),
  );
});

it('who comes back when told to is let in, and not a millisecond too late', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 0, max: 999 }), (perSecond, nowMs) => {
      const bucket = new TokenBucket(perSecond, nowMs);
      while (bucket.take(1, nowMs) === 0);
      const waitMs = bucket.take(1, nowMs);
      expect(waitMs).toBe(Math.ceil(1_000 / perSecond));
      expect(bucket.take(1, nowMs + waitMs)).toBe(0);
    }),
  );
});
