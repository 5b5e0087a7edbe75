import { describe, expect, it } from 'vitest';
import { FailureLimit } from './failure-limit.ts';

const limits = {
  failuresPerAddress: 3,
  failureRefillMs: 1_000,
  failuresInAll: 10,
  failuresInAllRefillMs: 100_000,
  maxAddresses: 20,
};

describe('FailureLimit', () => {
  it('locks an address after its tries and says when one comes back', () => {
    let now = 0;
    const limit = new FailureLimit({ limits, now: () => now });
    for (let index = 0; index < 3; index += 1) {
      expect(limit.lockedForMs('10.0.0.1')).toBe(0);
      limit.failed('10.0.0.1');
    }
    expect(limit.lockedForMs('10.0.0.1')).toBe(1_000);
    now = 1_000;
    expect(limit.lockedForMs('10.0.0.1')).toBe(0);
    limit.failed('10.0.0.1');
    expect(limit.lockedForMs('10.0.0.1')).toBe(1_000);
  });

  it('gives each address one try only once all tries are used up, and none that never failed is locked', () => {
    const limit = new FailureLimit({ limits, now: () => 0 });
    for (let index = 0; index < 10; index += 1) limit.failed(`10.0.0.${index}`);
    expect(limit.lockedForMs('10.0.1.1')).toBe(0);
    limit.failed('10.0.1.1');
    expect(limit.lockedForMs('10.0.1.1')).toBeGreaterThan(0);
    expect(limit.lockedForMs('10.0.1.2')).toBe(0);
  });

  it('remembers a bounded number of addresses', () => {
    const limit = new FailureLimit({ limits, now: () => 0 });
    for (let index = 0; index < 1_000; index += 1) limit.failed(`10.1.${index >> 8}.${index & 255}`);
    expect(limit.size).toBe(20);
  });

  it('forgets an address whose tries are whole again', () => {
    let now = 0;
    const limit = new FailureLimit({ limits, now: () => now });
    limit.failed('10.0.0.1');
    now = 10_000;
    expect(limit.lockedForMs('10.0.0.1')).toBe(0);
    expect(limit.size).toBe(0);
  });
});
