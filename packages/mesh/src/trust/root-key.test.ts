import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createIdentity,
  formatKeyLine,
  HELLO_BYTES_MAX,
  type Identity,
  type ShownKeys,
  signRootRotation,
  signRootStatement,
  signRotation,
} from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { followRotations } from './follow-rotations.ts';
import { TrustStore } from './trust-store.ts';

const [a, b, c, thief, root, otherRoot] = [
  createIdentity(),
  createIdentity(),
  createIdentity(),
  createIdentity(),
  createIdentity(),
  createIdentity(),
];
const line = (identity: Identity, options: string) => `${formatKeyLine(identity, 'eu')} ${options}`;
const rooted = `root=${Buffer.from(root.bytes).toString('base64')}`;
const byRoot = (from: Identity, to: Identity, by = root) => signRootRotation({ root: by, from, to, atMs: 5 });

async function openStore(...lines: readonly string[]) {
  const directory = mkdtempSync(join(tmpdir(), 'skein-root-'));
  const path = join(directory, 'authorized_peers');
  writeFileSync(path, lines.map((text) => `${text}\n`).join(''), { mode: 0o600 });
  const store = new TrustStore({ path });
  await store.start();
  return {
    store,
    show: (peer: Identity, shown: ShownKeys) => followRotations(store, peer, shown),
    text: () => readFileSync(path, 'utf8'),
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

describe('a peer that shows a root', () => {
  it('has it pinned the first time, in the trust file, and the rest of its line stays', async () => {
    await using net = await openStore(line(a, 'trust=tool,deny=shell_exec'));
    expect(net.show(a, { roots: [signRootStatement(a, root, 1)] })).toEqual([
      { type: 'root', id: a.id, root: root.id, outcome: 'pinned' },
    ]);
    expect(net.text()).toBe(`${line(a, `trust=tool,deny=shell_exec,${rooted}`)}\n`);
    // Shown again, whatever its time: nothing is written, nothing told.
    expect(net.show(a, { roots: [signRootStatement(a, root, 9)] })).toEqual([]);
  });

  it.each([1, 9])('keeps the first one: of another, made at %i, nothing comes but a word to people', async (atMs) => {
    await using net = await openStore(line(a, 'trust=full'));
    net.show(a, { roots: [signRootStatement(a, root, 5)] });
    const text = net.text();
    expect(net.show(a, { roots: [signRootStatement(a, otherRoot, atMs)] })).toMatchObject([{ outcome: 'second' }]);
    expect(net.text()).toBe(text);
    // Not even the root of its own that it had before the pin, brought by the owner's next key.
    expect(net.show(b, { rotations: [byRoot(a, b, otherRoot)], roots: [signRootStatement(a, otherRoot, 1)] })).toMatchObject([
      { type: 'root', outcome: 'second' },
      { type: 'rotation', outcome: 'forged' },
    ]);
    expect(net.text()).toBe(text);
  });

  it('keeps it when a person states a level anew, or an invitation is redeemed', async () => {
    await using net = await openStore(line(a, `trust=tool,${rooted}`));
    net.store.trust(formatKeyLine(a, 'eu'), { trust: 'full' });
    expect(net.store.get(a.id)).toMatchObject({ trust: 'full', root: { id: root.id } });
    net.store.trustInvited(formatKeyLine(a, 'eu'), { trust: 'read' });
    expect(net.store.get(a.id)).toMatchObject({ trust: 'read', root: { id: root.id } });
    net.store.revoke('eu');
    net.store.trust(line(a, 'trust=tool'));
    expect(net.store.get(a.id)).toMatchObject({ revoked: false, root: { id: root.id } });
  });

  it('is told of when it lacks one of the two signatures', async () => {
    await using net = await openStore(line(a, 'trust=full'));
    const text = net.text();
    const good = Buffer.from(signRootStatement(a, root, 1), 'base64');
    const withoutRoot = Buffer.concat([good.subarray(0, 136), Buffer.alloc(64)]).toString('base64');
    const withoutNode = Buffer.concat([good.subarray(0, 72), Buffer.alloc(64), good.subarray(136)]).toString('base64');
    for (const roots of [[withoutRoot], [withoutNode]]) {
      expect(net.show(a, { roots })).toMatchObject([{ type: 'root', outcome: 'forged' }]);
    }
    expect(net.text()).toBe(text);
  });

  it('gives a root to no other node’s key, to no revoked one, and to none that is not trusted', async () => {
    await using net = await openStore(line(a, 'trust=full'), line(c, 'trust=tool,revoked'));
    const text = net.text();
    const others = [signRootStatement(a, otherRoot, 1), signRootStatement(thief, otherRoot, 1)];
    expect(net.show(thief, { roots: others })).toEqual([]);
    expect(net.show(c, { roots: [signRootStatement(c, otherRoot, 1)] })).toEqual([]);
    expect(net.show(b, { rotations: [byRoot(c, b)], roots: [signRootStatement(c, root, 1)] })).toMatchObject([
      { type: 'rotation', outcome: 'forged' },
    ]);
    expect(net.show(a, { roots: ['x', ''] })).toEqual([]);
    expect(net.text()).toBe(text);
  });
});

describe('a key with a pinned root', () => {
  it('that was stolen is not rotated by the thief, who has all but the root', async () => {
    await using net = await openStore(line(a, `trust=full,${rooted}`));
    const text = net.text();
    // Also one that was signed before the root was bound, and with whatever root of the thief's beside it.
    for (const atMs of [1, 9_000_000_000_000]) {
      const rotations = [signRotation(a, thief, atMs)];
      expect(net.show(thief, { rotations })).toEqual([{ type: 'rotation', from: a.id, to: thief.id, outcome: 'unrooted' }]);
      expect(net.show(thief, { rotations, roots: [signRootStatement(thief, otherRoot, 1)] })).toMatchObject([
        { outcome: 'unrooted' },
      ]);
    }
    for (const by of [otherRoot, thief, a]) {
      expect(net.show(thief, { rotations: [byRoot(a, thief, by)] })).toMatchObject([{ outcome: 'forged' }]);
    }
    expect(net.text()).toBe(text);
  });

  it('is rotated by its root alone, without its own signature; the new key has the same root', async () => {
    await using net = await openStore(line(a, `trust=tool,allow=read_*,${rooted}`));
    const changes: string[] = [];
    net.store.onChange(({ type, id }) => changes.push(`${type} ${id === a.id ? 'a' : 'b'}`));
    const shown = { rotations: [byRoot(a, b)], roots: [signRootStatement(b, root, 5)] };
    expect(net.show(b, shown)).toEqual([{ type: 'rotation', from: a.id, to: b.id, outcome: 'moved' }]);
    expect(changes.sort()).toEqual(['added b', 'revoked a']);
    expect(net.store.get(b.id)).toMatchObject({ trust: 'tool', allowTools: ['read_*'], root: { id: root.id } });
    expect(net.store.get(a.id)).toMatchObject({ revoked: true, successor: b.id });
    // So the thief of the next key gets no further either.
    expect(net.show(thief, { rotations: [byRoot(a, b), signRotation(b, thief, 6)] })).toMatchObject([
      { from: b.id, outcome: 'unrooted' },
    ]);
    expect(net.show(thief, { rotations: [byRoot(a, thief, otherRoot)] })).toMatchObject([{ outcome: 'forged' }]);
    // What the root has signed once is not turned round.
    const text = net.text();
    expect(net.show(thief, { rotations: [signRotation(a, thief, 9)] })).toMatchObject([{ outcome: 'unrooted' }]);
    expect(net.show(c, { rotations: [byRoot(a, c)] })).toMatchObject([{ outcome: 'second' }]);
    expect(net.show(b, shown)).toEqual([]);
    expect(net.text()).toBe(text);
  });

  it('is not moved by a rotation whose signatures were checked before the root was pinned', async () => {
    await using net = await openStore(line(a, `trust=full,${rooted}`));
    expect(net.store.follow({ from: a, to: thief, atMs: 1 })).toBe('unrooted');
    expect(net.store.follow({ from: a, to: thief, atMs: 1, root: otherRoot })).toBe('unrooted');
    expect(net.store.get(thief.id)).toBe(undefined);
  });

  it('gives its root to a new key that was trusted by hand before only by the word of that one', async () => {
    await using net = await openStore(line(a, `trust=full,${rooted}`), line(b, 'trust=read'));
    expect(net.show(b, { rotations: [byRoot(a, b)] })).toMatchObject([{ outcome: 'moved' }]);
    expect(net.store.get(b.id)).toMatchObject({ trust: 'read', root: undefined });
    expect(net.show(b, { rotations: [byRoot(a, b)], roots: [signRootStatement(b, root, 5)] })).toMatchObject([
      { type: 'root', id: b.id, outcome: 'pinned' },
    ]);
  });

  it('is no way to the key that came after it: who has stolen a former one cannot bind that, and so not rotate it', async () => {
    await using net = await openStore(line(a, 'trust=read'), line(b, 'trust=full'));
    // The new key signed the same words once, for the rotation by the old one; the thief has the old one.
    const honest = Buffer.from(signRotation(a, b, 5), 'base64');
    const stolen = Buffer.from(byRoot(a, b, otherRoot), 'base64');
    const mixed = Buffer.concat([stolen.subarray(0, 136), honest.subarray(136)]).toString('base64');
    const roots = [signRootStatement(a, otherRoot, 6)];
    net.show(thief, { rotations: [mixed, byRoot(b, thief, otherRoot)], roots });
    expect(net.store.get(b.id)).toMatchObject({ trust: 'full', revoked: false, root: undefined });
    expect(net.store.get(thief.id)).toBe(undefined);
  });

  it('that was revoked stays so: its root does not bring it back', async () => {
    await using net = await openStore(line(a, `trust=full,${rooted},revoked`));
    expect(net.show(b, { rotations: [byRoot(a, b)] })).toMatchObject([{ outcome: 'from-revoked' }]);
    expect(net.store.get(b.id)).toBe(undefined);
  });
});

describe('a peer that was away', () => {
  it('while a key was bound, stolen and rotated by its root follows from what the new key shows', async () => {
    await using net = await openStore(line(a, 'trust=tool'));
    const roots = [signRootStatement(a, root, 1), signRootStatement(c, root, 6)];
    expect(net.show(c, { rotations: [byRoot(a, b), byRoot(b, c)], roots })).toMatchObject([
      { type: 'root', id: a.id, outcome: 'pinned' },
      { type: 'rotation', to: b.id, outcome: 'moved' },
      { type: 'rotation', to: c.id, outcome: 'moved' },
    ]);
    expect(net.store.get(c.id)).toMatchObject({ trust: 'tool', root: { id: root.id } });
  });

  it('follows a rotation of before the root, and from there on by the root alone', async () => {
    await using net = await openStore(line(a, 'trust=tool'));
    const roots = [signRootStatement(b, root, 2)];
    expect(net.show(thief, { rotations: [signRotation(a, b, 1), signRotation(b, thief, 3)], roots })).toMatchObject([
      { type: 'rotation', outcome: 'moved' },
      { type: 'root', id: b.id, outcome: 'pinned' },
      { type: 'rotation', outcome: 'unrooted' },
    ]);
    expect(net.show(c, { rotations: [signRotation(a, b, 1), byRoot(b, c)], roots })).toMatchObject([{ outcome: 'moved' }]);
  });

  it('and knows no root takes nothing on the word of one it was not shown', async () => {
    await using net = await openStore(line(a, 'trust=tool'));
    expect(net.show(b, { rotations: [byRoot(a, b)] })).toMatchObject([{ outcome: 'forged' }]);
    expect(net.store.get(a.id)).toMatchObject({ revoked: false });
  });
});

it('four rotations, two roots and an invitation fit into one hello', () => {
  const hello = {
    name: 'x'.repeat(64),
    boot: '0'.repeat(32),
    timeMs: 9_999_999_999_999,
    features: [],
    rotations: Array.from({ length: 4 }, () => byRoot(a, b)),
    roots: [signRootStatement(a, root, 1), signRootStatement(b, root, 1)],
    invite: { id: '0'.repeat(16), mac: '0'.repeat(64) },
  };
  expect(JSON.stringify(hello).length).toBeLessThanOrEqual(HELLO_BYTES_MAX);
});

describe('the revocation of a key', () => {
  it('that its root has replaced leaves the new one trusted, and says so; by hand and by a list', async () => {
    await using net = await openStore(line(a, `trust=tool,${rooted}`));
    net.show(b, { rotations: [byRoot(a, b)], roots: [signRootStatement(b, root, 5)] });
    expect(net.store.revokeListed(new Set([a.id]))).toEqual([]);
    expect(net.store.revoke(a.id, { share: true })).toMatchObject({
      shareRevocation: true,
      alsoRevoked: [],
      stillTrusted: { identity: { id: b.id } },
    });
    expect(net.store.get(b.id)).toMatchObject({ revoked: false, shareRevocation: false });
  });

  it('takes along what a thief has put behind it by a root that he bound to his own key', async () => {
    await using net = await openStore(line(a, 'trust=full'));
    net.show(thief, { rotations: [signRotation(a, thief, 1)], roots: [signRootStatement(thief, otherRoot, 2)] });
    net.show(c, { rotations: [byRoot(thief, c, otherRoot)], roots: [signRootStatement(c, otherRoot, 3)] });
    expect(net.store.get(c.id)).toMatchObject({ revoked: false, root: { id: otherRoot.id } });
    expect(net.store.revoke(a.id).alsoRevoked).toMatchObject([{ identity: { id: c.id } }]);
    expect(net.store.list().filter(({ revoked }) => !revoked)).toEqual([]);
  });
});
