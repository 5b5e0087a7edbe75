import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createIdentity, formatKeyLine, type Identity, openRotation, signRotation } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { followRotations } from './follow-rotations.ts';
import {
  changePassphrase,
  createIdentityFile,
  isKeyFileEncrypted,
  loadIdentity,
  loadKeyFile,
  loadOrCreateIdentity,
  readPassphraseFile,
  rotateKeyFile,
} from './identity-file.ts';
import { TrustStore } from './trust-store.ts';

const PASSPHRASE = 'correct horse battery';
const ROTATOR = fileURLToPath(new URL('./identity-file.ts', import.meta.url));

function openPlace() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-rotation-'));
  return {
    path: join(directory, 'key'),
    trust: join(directory, 'authorized_peers'),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

describe('the passphrase of a key file', () => {
  it('keeps the key from whoever has the file, and opens it again', () => {
    using place = openPlace();
    const { id } = createIdentityFile(place.path, PASSPHRASE);
    expect(readFileSync(place.path, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    expect(statSync(place.path).mode & 0o777).toBe(0o600);
    expect(isKeyFileEncrypted(place.path)).toBe(true);
    expect(loadOrCreateIdentity(place.path, PASSPHRASE).id).toBe(id);
  });

  it.each([
    ['missing', undefined],
    ['wrong', 'incorrect horse battery'],
    ['empty', ''],
  ])('that is %s is an error that names the file and quotes nothing', (_, given) => {
    using place = openPlace();
    createIdentityFile(place.path, PASSPHRASE);
    const before = readFileSync(place.path, 'utf8');
    expect(() => loadOrCreateIdentity(place.path, given)).toThrow(
      expect.objectContaining({ code: 'unauthenticated', message: expect.stringContaining(place.path) }),
    );
    for (const secret of [PASSPHRASE, 'incorrect horse', before.split('\n')[1] ?? '']) {
      expect(() => loadIdentity(place.path, given)).not.toThrow(
        expect.objectContaining({ message: expect.stringContaining(secret) }),
      );
    }
    expect(readFileSync(place.path, 'utf8')).toBe(before);
  });

  it('is set, changed and removed; the key and its rotations stay', () => {
    using place = openPlace();
    createIdentityFile(place.path);
    const { to } = rotateKeyFile(place.path, { passphrase: undefined, nowMs: 1 });
    changePassphrase(place.path, { from: undefined, to: PASSPHRASE });
    expect(() => changePassphrase(place.path, { from: 'something else', to: 'whatever it is' })).toThrow(
      expect.objectContaining({ code: 'unauthenticated' }),
    );
    changePassphrase(place.path, { from: PASSPHRASE, to: `${PASSPHRASE} 2` });
    expect(() => loadIdentity(place.path, PASSPHRASE)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    expect(loadKeyFile(place.path, `${PASSPHRASE} 2`)).toMatchObject({
      identity: { id: to.id },
      rotations: [expect.any(String)],
    });
    changePassphrase(place.path, { from: `${PASSPHRASE} 2`, to: undefined });
    expect(loadKeyFile(place.path)).toMatchObject({
      identity: { id: to.id },
      rotations: [expect.any(String)],
      encrypted: false,
    });
  });

  it('of fewer than 12 characters is refused', () => {
    using place = openPlace();
    expect(() => createIdentityFile(place.path, 'too short')).toThrow(expect.objectContaining({ code: 'invalid' }));
    createIdentityFile(place.path);
    expect(() => changePassphrase(place.path, { from: undefined, to: 'too short' })).toThrow(
      expect.objectContaining({ code: 'invalid' }),
    );
  });

  it('comes from the first line of a file that others may not read', () => {
    using place = openPlace();
    writeFileSync(place.trust, `${PASSPHRASE}\r\nand a note\n`, { mode: 0o600 });
    expect(readPassphraseFile(place.trust)).toBe(PASSPHRASE);
    writeFileSync(`${place.trust}2`, PASSPHRASE, { mode: 0o644 });
    expect(() => readPassphraseFile(`${place.trust}2`)).toThrow(expect.objectContaining({ code: 'denied' }));
    expect(() => readPassphraseFile(`${place.trust}3`)).toThrow(expect.objectContaining({ code: 'not-found' }));
  });
});

describe('the rotation of a key file', () => {
  it('leaves the new key, what the old one said of it, and no old key', () => {
    using place = openPlace();
    const old = createIdentityFile(place.path, PASSPHRASE);
    const before = readFileSync(place.path, 'utf8');
    const { from, to } = rotateKeyFile(place.path, { passphrase: PASSPHRASE, nowMs: 5 });
    const { identity, rotations, encrypted } = loadKeyFile(place.path, PASSPHRASE);
    expect([from.id, identity.id, encrypted]).toEqual([old.id, to.id, true]);
    expect(openRotation(rotations[0] ?? '')).toMatchObject({ from: { id: old.id }, to: { id: to.id } });
    expect(readFileSync(place.path, 'utf8')).not.toContain(before.split('\n')[1]);
    expect(statSync(place.path).mode & 0o777).toBe(0o600);
  });

  it('keeps the last four of many, and names a chain that does not lead to the key as damage', () => {
    using place = openPlace();
    createIdentityFile(place.path);
    for (let times = 0; times < 6; times += 1) rotateKeyFile(place.path, { passphrase: undefined, nowMs: times });
    expect(loadKeyFile(place.path).rotations).toHaveLength(4);
    appendFileSync(place.path, `skein-rotation ${signRotation(createIdentity(), createIdentity(), 1)}\n`);
    expect(() => loadKeyFile(place.path)).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(place.path) }),
    );
  });

  it('killed at any moment leaves one of the two whole states', async () => {
    using place = openPlace();
    let last = createIdentityFile(place.path).id;
    let rotated = 0;
    for (let kill = 0; kill < 6; kill += 1) {
      const script = `import { rotateKeyFile } from ${JSON.stringify(ROTATOR)};
        for (;;) { rotateKeyFile(${JSON.stringify(place.path)}, { passphrase: undefined, nowMs: 1 }); process.stdout.write('.'); }`;
      const child = spawn(process.execPath, ['--conditions=skein-source', '--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      // In the midst of the next ones.
      for (let seen = 0; seen < 2 + kill; ) seen += String((await once(child.stdout, 'data'))[0]).length;
      child.kill('SIGKILL');
      await once(child, 'close');
      const { identity, rotations } = loadKeyFile(place.path);
      expect(openRotation(rotations.at(-1) ?? '').to.id).toBe(identity.id);
      if (identity.id !== last) rotated += 1;
      last = identity.id;
    }
    expect(rotated).toBe(6);
    rotateKeyFile(place.path, { passphrase: undefined, nowMs: 1 });
  });
});

describe('a trust store that is shown a rotation', () => {
  const [a, b, c] = [createIdentity(), createIdentity(), createIdentity()];
  const line = (identity: Identity, options: string) => `${formatKeyLine(identity, 'eu')} ${options}`;

  async function openStore(lines: readonly string[], listed: readonly Identity[] = []) {
    const place = openPlace();
    writeFileSync(place.trust, lines.map((text) => `${text}\n`).join(''), { mode: 0o600 });
    const store = new TrustStore({ path: place.trust, isListed: (id) => listed.some((identity) => identity.id === id) });
    await store.start();
    return {
      store,
      text: () => readFileSync(place.trust, 'utf8'),
      async [Symbol.asyncDispose]() {
        await store[Symbol.asyncDispose]();
        place[Symbol.dispose]();
      },
    };
  }

  it('gives the new key the line of the old one, and refuses the old one from then on', async () => {
    await using net = await openStore([line(a, 'trust=full,allow-brain,deny=shell_exec,voter,revoker,url=ws://10.0.0.2:9700')]);
    const changes: string[] = [];
    net.store.onChange(({ type, id }) => changes.push(`${type} ${id === a.id ? 'a' : 'b'}`));
    expect(followRotations(net.store, b, { rotations: [signRotation(a, b, 1)] })).toEqual([
      { type: 'rotation', from: a.id, to: b.id, outcome: 'moved' },
    ]);
    const { identity: _a, ...old } = net.store.get(a.id) ?? {};
    const { identity: _b, ...next } = net.store.get(b.id) ?? {};
    expect(next).toMatchObject({
      trust: 'full',
      allowBrain: true,
      denyTools: ['shell_exec'],
      voter: true,
      revoker: true,
      revoked: false,
    });
    expect(old).toEqual({ ...next, revoked: true, successor: b.id });
    expect(changes.sort()).toEqual(['added b', 'revoked a']);
    expect(net.store.current(a.id)).toBe(b.id);
    // The name means the new key now.
    expect(net.store.revoke('eu').identity.id).toBe(b.id);
  });

  it('does so once: shown again it changes nothing', async () => {
    await using net = await openStore([line(a, 'trust=tool')]);
    followRotations(net.store, b, { rotations: [signRotation(a, b, 1)] });
    const text = net.text();
    expect(followRotations(net.store, b, { rotations: [signRotation(a, b, 2)] })).toEqual([]);
    expect(net.text()).toBe(text);
  });

  it('takes the first of two successors and names the second', async () => {
    await using net = await openStore([line(a, 'trust=full')]);
    followRotations(net.store, b, { rotations: [signRotation(a, b, 1)] });
    const text = net.text();
    expect(followRotations(net.store, c, { rotations: [signRotation(a, c, 9)] })).toEqual([
      { type: 'rotation', from: a.id, to: c.id, outcome: 'second' },
    ]);
    expect(net.text()).toBe(text);
  });

  it('goes on over several it has missed', async () => {
    await using net = await openStore([line(a, 'trust=tool,allow=read_*')]);
    const outcomes = followRotations(net.store, c, { rotations: [signRotation(a, b, 1), signRotation(b, c, 2)] }).map(
      ({ outcome }) => outcome,
    );
    expect(outcomes).toEqual(['moved', 'moved']);
    expect(net.store.get(c.id)).toMatchObject({ trust: 'tool', allowTools: ['read_*'], revoked: false });
    expect([a, b].map(({ id }) => net.store.get(id)?.revoked)).toEqual([true, true]);
    expect(net.store.current(a.id)).toBe(c.id);
  });

  it.each([
    ['the old key was revoked', [line(a, 'trust=full,revoked')], [], 'from-revoked'],
    ['the new key was revoked', [line(a, 'trust=full'), line(b, 'trust=full,revoked')], [], 'to-revoked'],
    ['the new key stands on a revocation list', [line(a, 'trust=full')], [b], 'to-revoked'],
  ] as const)('refuses it when %s', async (_, lines, listed, outcome) => {
    await using net = await openStore(lines, listed);
    const text = net.text();
    expect(followRotations(net.store, b, { rotations: [signRotation(a, b, 1)] })).toMatchObject([{ outcome }]);
    expect(net.text()).toBe(text);
  });

  it('is not told of one that lacks a signature, is another’s, or of keys it does not know', async () => {
    await using net = await openStore([line(a, 'trust=full')]);
    const text = net.text();
    const bytes = Buffer.from(signRotation(c, b, 1), 'base64');
    const forged = Buffer.concat([a.bytes, bytes.subarray(32)]).toString('base64');
    expect(followRotations(net.store, b, { rotations: [forged] })).toMatchObject([{ outcome: 'forged' }]);
    // Somebody else's good rotation, shown by one it is not about.
    expect(followRotations(net.store, c, { rotations: [signRotation(a, b, 1)] })).toEqual([]);
    expect(followRotations(net.store, b, { rotations: [signRotation(c, b, 1), 'x', signRotation(c, b, 1)] })).toEqual([]);
    expect(net.text()).toBe(text);
  });

  it('leaves a new key that was trusted by hand as it is, and still refuses the old one', async () => {
    await using net = await openStore([line(a, 'trust=full,allow-brain'), line(b, 'trust=read')]);
    expect(followRotations(net.store, b, { rotations: [signRotation(a, b, 1)] })).toMatchObject([{ outcome: 'moved' }]);
    expect(net.store.get(b.id)).toMatchObject({ trust: 'read', allowBrain: false });
    expect(net.store.get(a.id)).toMatchObject({ revoked: true, successor: b.id });
  });
});

describe('a stolen key that its thief has rotated', () => {
  const [x, y, z, other] = [createIdentity(), createIdentity(), createIdentity(), createIdentity()];
  const rotations = [signRotation(x, y, 1), signRotation(y, z, 2)];
  const line = (identity: Identity, name: string, options: string) => `${formatKeyLine(identity, name)} ${options}\n`;

  async function openStore(...lines: readonly string[]) {
    const place = openPlace();
    writeFileSync(place.trust, lines.join(''), { mode: 0o600 });
    const store = new TrustStore({ path: place.trust });
    await store.start();
    const revoked: string[] = [];
    store.onChange(({ type, id }) => {
      if (type === 'revoked') revoked.push(id);
    });
    return {
      store,
      revoked,
      trusted: () => store.list().flatMap((record) => (record.revoked ? [] : [record.identity.id])),
      async [Symbol.asyncDispose]() {
        await store[Symbol.asyncDispose]();
        place[Symbol.dispose]();
      },
    };
  }

  it.each([
    ['its id', x.id],
    ['its line', formatKeyLine(x, 'worker')],
  ])(
    'is revoked by %s with all that came after it, each told of, and the thief is not let in by another rotation',
    async (_, who) => {
      await using net = await openStore(line(x, 'worker', 'trust=full'), line(other, 'other', 'trust=tool'));
      followRotations(net.store, z, { rotations });
      net.revoked.length = 0;
      const result = net.store.revoke(who);
      expect(result).toMatchObject({ identity: { id: x.id }, stillTrusted: undefined });
      // The one between was revoked when it was followed.
      expect(result.alsoRevoked).toMatchObject([{ identity: { id: z.id }, revoked: true, shareRevocation: false }]);
      expect(net.trusted()).toEqual([other.id]);
      expect(net.revoked).toEqual([z.id]);
      const next = createIdentity();
      for (const from of [x, y, z]) followRotations(net.store, next, { rotations: [signRotation(from, next, 9)] });
      followRotations(net.store, y, { rotations: [signRotation(x, y, 9)] });
      expect(net.trusted()).toEqual([other.id]);
      // Revoked once more it is as any key that is revoked already.
      expect(net.store.revoke(who)).toMatchObject({ revoked: true, alsoRevoked: [] });
    },
  );

  it('has all of them named to others where its revocation is shared, also when it was not at first', async () => {
    await using net = await openStore(line(x, 'worker', 'trust=full'));
    followRotations(net.store, z, { rotations });
    net.store.revoke(x.id);
    net.store.revoke(x.id, { share: true });
    expect(net.store.list().map(({ shareRevocation }) => shareRevocation)).toEqual([true, true, true]);
  });

  it('is revoked with them by a list that names it, though it was revoked when it was followed', async () => {
    await using net = await openStore(line(x, 'worker', 'trust=full'), line(other, 'other', 'trust=tool'));
    followRotations(net.store, z, { rotations });
    net.revoked.length = 0;
    expect(net.store.revokeListed(new Set([x.id]))).toMatchObject([{ identity: { id: z.id }, shareRevocation: false }]);
    expect(net.trusted()).toEqual([other.id]);
    expect(net.revoked).toEqual([z.id]);
    expect(net.store.revokeListed(new Set([x.id, y.id, z.id]))).toEqual([]);
  });

  it('hands its name on to the new key, which is revoked by it as any other is', async () => {
    await using net = await openStore(line(x, 'worker', 'trust=full'));
    followRotations(net.store, y, { rotations: rotations.slice(0, 1) });
    expect(net.store.revoke('worker')).toMatchObject({ identity: { id: y.id }, alsoRevoked: [], stillTrusted: undefined });
  });

  it('in a file that leads in a circle takes each of the others along once', async () => {
    await using net = await openStore(
      line(x, 'x', `trust=full,revoked,successor=${y.id}`),
      line(y, 'y', `trust=full,revoked,successor=${z.id}`),
      line(z, 'z', `trust=full,revoked,successor=${y.id}`),
      line(other, 'other', `trust=full,revoked,successor=${other.id}`),
    );
    expect(net.store.revoke(x.id, { share: true }).alsoRevoked).toEqual([]);
    expect(net.store.revoke(other.id)).toMatchObject({ revoked: true, alsoRevoked: [] });
    expect(net.store.revokeListed(new Set([y.id, other.id]))).toEqual([]);
    expect(net.store.list().map(({ shareRevocation }) => shareRevocation)).toEqual([true, true, true, false]);
  });

  it('takes along also one that a person has trusted anew, and nothing behind a line that is gone', async () => {
    await using net = await openStore(
      line(x, 'x', `trust=full,revoked,successor=${y.id}`),
      line(z, 'z', 'trust=full'),
      line(other, 'other', `trust=full,revoked,successor=${z.id}`),
    );
    expect(net.store.revoke(x.id).alsoRevoked).toEqual([]);
    expect(net.trusted()).toEqual([z.id]);
    net.store.revoke(other.id);
    net.store.trust(formatKeyLine(z, 'z'), { trust: 'tool' });
    expect(net.trusted()).toEqual([z.id]);
    expect(net.store.revoke(other.id).alsoRevoked).toMatchObject([{ identity: { id: z.id }, trust: 'tool' }]);
  });
});
