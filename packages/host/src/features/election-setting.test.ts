import { TRUST_DEFAULTS, type TrustOptions, type TrustRecord } from '@skein/mesh';
import { createIdentity } from '@skein/protocol';
import { expect, test } from 'vitest';
import { electionSettingOf } from './election-setting.ts';

const { id: self } = createIdentity();

function record(name: string, options: Partial<TrustOptions> = {}): TrustRecord {
  return { ...TRUST_DEFAULTS, identity: createIdentity(), name, kind: 'skein', voleExtra: undefined, ...options };
}

const full = record('full', { trust: 'full' });
const guest = record('guest');
const voter = record('voter', { voter: true });
const gone = record('gone', { trust: 'full', voter: true, revoked: true });
const records = [full, guest, voter, gone];
const base = { self, name: 'me', voter: true, dials: false, records };

test('voters are the keys marked so and this node itself, never a name, a guest or a revoked key', () => {
  const ids = [self, voter.identity.id].sort();
  expect(electionSettingOf({ ...base, leader: 'quorum' }).voters).toEqual(ids);
  expect(electionSettingOf({ ...base, leader: 'quorum', voter: false }).voters).toEqual([voter.identity.id]);
});

test('only a node that trusts nobody and dials nobody may lead as the only voter', () => {
  const quorum = { ...base, leader: 'quorum' } as const;
  expect(electionSettingOf({ ...quorum, records: [] })).toMatchObject({ voters: [self], alone: true });
  expect(electionSettingOf({ ...quorum, records: [gone] }).alone).toBe(true);
  expect(electionSettingOf({ ...quorum, records: [guest] })).toMatchObject({ voters: [self], alone: false });
  expect(electionSettingOf({ ...quorum, records: [], dials: true }).alone).toBe(false);
});

test('in auto, a key that may only read does not lead, unless it is marked as a voter', () => {
  const { members } = electionSettingOf({ ...base, leader: 'auto' });
  expect([...members]).toEqual([full.identity.id, voter.identity.id]);
});

test('the forced leader is found by its name in the trust file, its id, or as this node itself', () => {
  expect(electionSettingOf({ ...base, leader: 'guest' }).forced).toBe(guest.identity.id);
  expect(electionSettingOf({ ...base, leader: full.identity.id }).forced).toBe(full.identity.id);
  expect(electionSettingOf({ ...base, leader: 'me' }).forced).toBe(self);
  expect(electionSettingOf({ ...base, leader: 'gone' }).forced).toBeUndefined();
  expect(electionSettingOf({ ...base, leader: 'nobody' })).toMatchObject({ mode: 'forced', forced: undefined });
});

test('a name that several keys have is refused with their ids', () => {
  const twin = record('full');
  expect(() => electionSettingOf({ ...base, leader: 'full', records: [...records, twin] })).toThrow(twin.identity.id);
  expect(() => electionSettingOf({ ...base, leader: 'full', name: 'full' })).toThrow(self);
});
