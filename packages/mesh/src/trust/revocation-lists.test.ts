import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity, formatKeyLine, openRevocationList, type PeerId, signRevocationList } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { RevocationLists } from './revocation-lists.ts';
import { TrustStore } from './trust-store.ts';

const [issuer, other] = [createIdentity(), createIdentity()];
const ids = Array.from({ length: 3 }, () => createIdentity().id);
const [x, y, z] = [ids[0], ids[1], ids[2]] as [PeerId, PeerId, PeerId]; // Proven: three were made.

function openPlace(nowMs = 1_000) {
  const directory = mkdtempSync(join(tmpdir(), 'skein-revocations-'));
  const time = { nowMs };
  const open = () => {
    const lists = new RevocationLists({ directory: join(directory, 'revocations'), now: () => time.nowMs });
    lists.start();
    return lists;
  };
  return { directory, time, open, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

const listOf = (version: number, named: readonly PeerId[], by = issuer) =>
  signRevocationList(by, { version, atMs: 1, ids: named });

/** Takes a list over as a node does. */
function take(lists: RevocationLists, text: string, from = issuer.id): readonly PeerId[] {
  const opened = lists.open(from, text);
  opened?.keep();
  return [...(opened?.added ?? [])].sort();
}

describe('the revocation lists of others', () => {
  it('say what is new in them, and are kept over a restart', () => {
    using place = openPlace();
    const lists = place.open();
    expect(take(lists, listOf(1, [x]))).toEqual([x]);
    expect(take(lists, listOf(2, [x, y]))).toEqual([y]);
    const again = place.open();
    expect([x, y, z].map((id) => again.isListed(id))).toEqual([true, true, false]);
    expect(take(again, listOf(3, [x, y, z]))).toEqual([z]);
    expect(take(again, listOf(3, [x, y, z]))).toEqual([]);
  });

  it.each([
    ['older', 4],
    ['other of the same version', 5],
  ])('an %s one is refused, also after a restart', (_, version) => {
    using place = openPlace();
    take(place.open(), listOf(5, [x]));
    const lists = place.open();
    expect(() => lists.open(issuer.id, listOf(version, [y]))).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect([x, y].map((id) => lists.isListed(id))).toEqual([true, false]);
  });

  it('count for their issuer alone, whoever brings them', () => {
    using place = openPlace();
    const lists = place.open();
    expect(() => lists.open(other.id, listOf(1, [x]))).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    take(lists, listOf(9, [x], other), other.id);
    // One issuer's version says nothing of another's.
    expect(take(lists, listOf(1, [y]))).toEqual([y]);
  });

  it('that were changed on the disk, or stand under another name, are named', () => {
    using place = openPlace();
    take(place.open(), listOf(1, [x]));
    const file = join(place.directory, 'revocations', issuer.id);
    const text = readFileSync(file, 'utf8');
    writeFileSync(join(place.directory, 'revocations', other.id), text, { mode: 0o600 });
    expect(() => place.open()).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(other.id) }),
    );
    rmSync(join(place.directory, 'revocations', other.id));
    writeFileSync(file, text.replace(/.{8}$/m, 'AAAAAAA='));
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(file) }));
  });

  it('keep a listed key from coming in by an invitation, and not from being trusted by hand', async () => {
    using place = openPlace();
    const lists = place.open();
    const stranger = createIdentity();
    take(lists, listOf(1, [stranger.id]));
    await using store = new TrustStore({
      path: join(place.directory, 'authorized_peers'),
      isListed: (id) => lists.isListed(id),
    });
    const line = formatKeyLine(stranger, 'stranger');
    expect(() => store.trustInvited(line, { trust: 'full' })).toThrow(expect.objectContaining({ code: 'denied' }));
    expect(store.trust(line, { trust: 'tool' })).toMatchObject({ revoked: false });
  });
});

describe('the own revocation list', () => {
  it('is there from the first key on, and grows with each change', () => {
    using place = openPlace();
    const lists = place.open();
    expect(lists.publish(issuer, [])).toBe(false);
    expect(lists.own).toBe(null);
    expect(lists.publish(issuer, [x])).toBe(true);
    expect(lists.publish(issuer, [x])).toBe(false);
    const first = openRevocationList(lists.own ?? '');
    expect(lists.publish(issuer, [])).toBe(true);
    const second = openRevocationList(place.open().own ?? '');
    expect([first.ids, second.ids]).toEqual([[x], []]);
    expect(second.version).toBeGreaterThan(first.version);
  });

  it('is never older than one before, when the clock went back or the file was lost', () => {
    using place = openPlace(50_000);
    const lists = place.open();
    lists.publish(issuer, [x]);
    place.time.nowMs = 10;
    lists.publish(issuer, [x, y]);
    expect(openRevocationList(lists.own ?? '').version).toBe(50_001);
    rmSync(join(place.directory, 'revocations'), { recursive: true });
    place.time.nowMs = 60_000;
    const anew = place.open();
    anew.publish(issuer, [x, y]);
    expect(openRevocationList(anew.own ?? '').version).toBeGreaterThan(50_001);
  });

  it('is signed anew by the key that took the place of its issuer', () => {
    using place = openPlace();
    const lists = place.open();
    lists.publish(issuer, [x]);
    expect(lists.publish(other, [x])).toBe(true);
    expect(openRevocationList(lists.own ?? '')).toMatchObject({ issuer: { id: other.id }, version: 1_001 });
  });
});
