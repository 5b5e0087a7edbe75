import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatKeyLine, leadsTo, type PeerId, rootOf } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { followRotations } from './follow-rotations.ts';
import { changePassphrase, createIdentityFile, type KeyFile, loadKeyFile, rotateKeyFile } from './identity-file.ts';
import { currentRoot, shownHistory } from './key-history.ts';
import { bindRoot, createRootFile, rotateByRoot } from './root-file.ts';
import { TrustStore } from './trust-store.ts';

const PASSPHRASE = 'correct horse battery';
const ROTATOR = fileURLToPath(new URL('./root-file.ts', import.meta.url));

/** A node's key, a root bound to it, and a peer that trusted the key before. */
async function openPlace() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-root-file-'));
  const at = (name: string) => join(directory, name);
  const root = { path: at('stick'), passphrase: undefined };
  const key = (file = 'key') => ({ path: at(file), passphrase: undefined, name: file, nowMs: 5 });
  const first = createIdentityFile(at('key'));
  createRootFile(root);
  bindRoot(root, key());
  writeFileSync(at('authorized_peers'), `${formatKeyLine(first, 'eu')} trust=tool\n`, { mode: 0o600 });
  const store = new TrustStore({ path: at('authorized_peers') });
  await store.start();
  return {
    at,
    root,
    key,
    first: first.id,
    /** What comes of it when the peer meets this key. */
    meet: ({ identity, ...history }: KeyFile) =>
      followRotations(store, identity, shownHistory(history)).map(({ outcome }) => outcome),
    isTrusted: (id: PeerId) => store.get(id)?.revoked === false,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

describe('a root file', () => {
  it('is made with mode 0600 and is never written over; the node keeps nothing private of it', async () => {
    await using place = await openPlace();
    expect(statSync(place.root.path).mode & 0o777).toBe(0o600);
    const before = readFileSync(place.root.path, 'utf8');
    expect(() => createRootFile(place.root)).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(readFileSync(place.root.path, 'utf8')).toBe(before);
    const secret = before.split('\n')[1] ?? '';
    expect(secret).toHaveLength(64);
    expect(readFileSync(place.at('key'), 'utf8')).not.toContain(secret);
    expect(rootOf(place.first, loadKeyFile(place.at('key')).roots)?.id).toBe(
      currentRoot(loadKeyFile(place.at('key')))?.root.id,
    );
  });

  it('that others may read, is damaged, or is not there is told and used for nothing', async () => {
    await using place = await openPlace();
    const before = readFileSync(place.at('key'), 'utf8');
    chmodSync(place.root.path, 0o644);
    expect(() => rotateByRoot(place.root, place.key())).toThrow(expect.objectContaining({ code: 'denied' }));
    chmodSync(place.root.path, 0o600);
    const whole = readFileSync(place.root.path, 'utf8');
    const otherByte = whole.replace(/(?<=skein-root .{8})./, (byte) => (byte === 'A' ? 'B' : 'A'));
    for (const damaged of [otherByte, whole.slice(0, 40), whole.slice(0, -20)]) {
      writeFileSync(place.root.path, damaged);
      expect(() => rotateByRoot(place.root, place.key())).toThrow(
        expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(place.root.path) }),
      );
    }
    rmSync(place.root.path);
    expect(() => rotateByRoot(place.root, place.key())).toThrow(/net root init/);
    expect(readFileSync(place.at('key'), 'utf8')).toBe(before);
  });

  it('keeps its passphrase through binding and rotating, whatever that of the key is', async () => {
    await using place = await openPlace();
    const root = { path: place.at('closed'), passphrase: PASSPHRASE };
    createIdentityFile(place.at('other'), `${PASSPHRASE} 2`);
    createRootFile(root);
    const other = { ...place.key('other'), passphrase: `${PASSPHRASE} 2` };
    for (const passphrase of [undefined, 'incorrect horse battery']) {
      expect(() => bindRoot({ ...root, passphrase }, other)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    }
    bindRoot(root, other);
    const { to } = rotateByRoot(root, other);
    expect(readFileSync(root.path, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    expect(loadKeyFile(other.path, other.passphrase)).toMatchObject({ identity: { id: to.id }, encrypted: true });
    expect(readFileSync(place.root.path, 'utf8')).not.toContain('ENCRYPTED');
  });

  it('serves several nodes; a key has one root and keeps it', async () => {
    await using place = await openPlace();
    createIdentityFile(place.at('other'));
    bindRoot(place.root, place.key('other'));
    const second = { path: place.at('stick2'), passphrase: undefined };
    createRootFile(second);
    const before = readFileSync(place.at('other'), 'utf8');
    expect(() => bindRoot(second, place.key('other'))).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(() => rotateByRoot(second, place.key('other'))).toThrow(expect.objectContaining({ code: 'conflict' }));
    bindRoot(place.root, place.key('other'));
    expect(readFileSync(place.at('other'), 'utf8')).toBe(before);
    rotateByRoot(place.root, place.key('other'));
    rotateByRoot(place.root, place.key());
    expect(place.meet(loadKeyFile(place.at('key')))).toEqual(['pinned', 'moved']);
  });
});

describe('a rotation by the root', () => {
  it('is the only one a key with a root gets, and its passphrase may still change', async () => {
    await using place = await openPlace();
    expect(() => rotateKeyFile(place.at('key'), { passphrase: undefined, nowMs: 1 })).toThrow(
      expect.objectContaining({ code: 'conflict', message: expect.stringContaining('--root FILE') }),
    );
    const before = loadKeyFile(place.at('key'));
    changePassphrase(place.at('key'), { from: undefined, to: PASSPHRASE });
    expect(loadKeyFile(place.at('key'), PASSPHRASE).roots).toEqual(before.roots);
  });

  it('is followed by a peer, also after more of them than a node shows', async () => {
    await using place = await openPlace();
    expect(place.meet(loadKeyFile(place.at('key')))).toEqual(['pinned']);
    for (let times = 0; times < 4; times += 1) rotateByRoot(place.root, place.key());
    const kept = loadKeyFile(place.at('key'));
    expect(place.meet(kept)).toEqual(['moved', 'moved', 'moved', 'moved']);
    for (let times = 0; times < 7; times += 1) {
      rotateByRoot(place.root, place.key());
      expect(place.meet(loadKeyFile(place.at('key')))).toEqual(['moved']);
    }
    const { identity, rotations, roots } = loadKeyFile(place.at('key'));
    expect([rotations.length, roots.length, shownHistory({ rotations, roots }).roots.length]).toEqual([4, 5, 2]);
    expect(place.isTrusted(identity.id)).toBe(true);
    expect(place.isTrusted(kept.identity.id)).toBe(false);
  });

  it('puts the key of a new node in the place of a lost one, of which there is nothing left', async () => {
    await using place = await openPlace();
    const stolen = loadKeyFile(place.at('key'));
    expect(place.meet(stolen)).toEqual(['pinned']);
    rmSync(place.at('key'));
    const made = createIdentityFile(place.at('fresh'));
    const fresh = place.key('fresh');
    expect(() => rotateByRoot(place.root, fresh)).toThrow(
      expect.objectContaining({ code: 'conflict', message: expect.stringMatching(/--lost: key \(/) }),
    );
    expect(() => rotateByRoot(place.root, fresh, 'nobody')).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect(rotateByRoot(place.root, fresh, 'key')).toMatchObject({ from: { id: place.first }, to: { id: made.id } });
    expect(place.meet(loadKeyFile(fresh.path))).toEqual(['moved']);
    expect(place.isTrusted(place.first)).toBe(false);
    expect(() => rotateByRoot(place.root, fresh, 'key')).toThrow(expect.objectContaining({ code: 'conflict' }));
    // And it can be lost again.
    createIdentityFile(place.at('again'));
    rotateByRoot(place.root, place.key('again'), 'fresh');
    expect(place.meet(loadKeyFile(place.at('again')))).toEqual(['moved']);
  });

  it('of which only the root heard, the node having lost its power in between, is gone on from', async () => {
    await using place = await openPlace();
    expect(place.meet(loadKeyFile(place.at('key')))).toEqual(['pinned']);
    copyFileSync(place.at('key'), place.at('key.before'));
    rotateByRoot(place.root, place.key());
    const unseen = loadKeyFile(place.at('key')).identity.id;
    copyFileSync(place.at('key.before'), place.at('key'));
    const { to } = rotateByRoot(place.root, place.key());
    const after = loadKeyFile(place.at('key'));
    expect(leadsTo(place.first, to.id, after)).toBe(true);
    expect(place.meet(after)).toEqual(['moved', 'moved']);
    expect(place.isTrusted(unseen)).toBe(false);
  });

  it('to a new node, cut off in the same way, is finished by doing it again', async () => {
    await using place = await openPlace();
    const { id } = createIdentityFile(place.at('fresh'));
    copyFileSync(place.at('fresh'), place.at('fresh.before'));
    rotateByRoot(place.root, place.key('fresh'), 'key');
    copyFileSync(place.at('fresh.before'), place.at('fresh'));
    expect(rotateByRoot(place.root, place.key('fresh'), 'key')).toMatchObject({ from: { id: place.first }, to: { id } });
    expect(place.meet(loadKeyFile(place.at('fresh')))).toEqual(['pinned', 'moved']);
  });

  it('with an older copy of the root file goes on from the key of the node', async () => {
    await using place = await openPlace();
    copyFileSync(place.root.path, place.at('copy'));
    rotateByRoot(place.root, place.key());
    rotateByRoot({ ...place.root, path: place.at('copy') }, place.key());
    expect(place.meet(loadKeyFile(place.at('key')))).toEqual(['pinned', 'moved', 'moved']);
  });

  it('killed at any moment leaves two whole files, from which it goes on', async () => {
    await using place = await openPlace();
    for (let kill = 0; kill < 5; kill += 1) {
      const script = `import { rotateByRoot } from ${JSON.stringify(ROTATOR)};
        for (;;) { rotateByRoot(${JSON.stringify({ path: place.root.path })}, ${JSON.stringify(place.key())}); process.stdout.write('.'); }`;
      const child = spawn(process.execPath, ['--conditions=skein-source', '--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      // In the midst of the next ones.
      for (let seen = 0; seen < 1 + kill; ) seen += String((await once(child.stdout, 'data'))[0]).length;
      child.kill('SIGKILL');
      await once(child, 'close');
      rotateByRoot(place.root, place.key());
      const { identity, roots } = loadKeyFile(place.at('key'));
      expect(rootOf(identity.id, roots)).toBeDefined();
    }
    expect(existsSync(place.at('key.lock'))).toBe(false);
  });
});
