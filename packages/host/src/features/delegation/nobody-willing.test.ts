import { TRUST_DEFAULTS, type TrustOptions, type TrustRecord } from '@skein/mesh';
import { createIdentity } from '@skein/protocol';
import { expect, test } from 'vitest';
import { nobodyWilling } from './nobody-willing.ts';

const record = (name: string, options: Partial<TrustOptions> = {}): TrustRecord => ({
  ...TRUST_DEFAULTS,
  ...{ identity: createIdentity(), name, kind: 'skein', voleExtra: undefined },
  ...options,
});

function words(brainSource: string, records: readonly TrustRecord[], connected: readonly TrustRecord[] = []): string {
  const ids = new Set(connected.map(({ identity }) => identity.id));
  return nobodyWilling({ brainSource, records, isConnected: (id) => ids.has(id), cause: undefined }).message;
}

test('one that is away is named, since it may be the one that would', () => {
  const [central, laptop] = [record('central'), record('laptop')];
  expect(words('remote', [central, laptop], [laptop])).toMatch(/^central is away, and no peer that is connected lets/);
  expect(words('central', [central, laptop], [laptop])).toMatch(/^central is away \(/);
});

test('who is connected is not called away, and a revoked key is not named', () => {
  const central = record('central');
  expect(words('remote', [central, record('mallory', { revoked: true })], [central])).toMatch(
    /^No peer that is connected lets/,
  );
  expect(words('central', [central], [central])).toContain('does not let this node use its brain');
});

test('what is to be done on the other machine is not taken for a command of this one', () => {
  expect(words('remote', [])).toContain('; on the other machine run: skein net trust "');
});

test('many that are away are counted', () => {
  const away = ['a', 'b', 'c', 'd', 'e'].map((name) => record(name));
  expect(words('remote', away)).toMatch(/^a, b, c, 2 more are away,/);
});
