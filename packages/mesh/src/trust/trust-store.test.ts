import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createIdentity, formatKeyLine, parseKeyLine, publicIdentity, REVOCATIONS_MAX, type SkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import type { TrustChange } from './trust-changes.ts';
import { parseTrustLine } from './trust-record.ts';
import { TrustStore } from './trust-store.ts';

const keyLine = (name: string) => formatKeyLine(createIdentity(), name);

/** A directory with a trust file of these lines, a started store, and what it reported. */
async function openStore(lines: readonly string[] = []) {
  const directory = mkdtempSync(join(tmpdir(), 'skein-trust-'));
  const path = join(directory, 'authorized_peers');
  if (lines.length > 0) writeFileSync(path, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  const errors: SkeinError[] = [];
  let wake: () => void = () => {};
  const store = new TrustStore({
    path,
    onError: (error) => {
      errors.push(error);
      wake();
    },
  });
  const changes: TrustChange[] = [];
  store.onChange((change) => {
    changes.push(change);
    wake();
  });
  /** Resolves when the condition holds, which is looked at whenever the store reports something. */
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      wake = () => {
        if (condition()) resolve();
      };
      wake();
    });
  return {
    store,
    path,
    directory,
    errors,
    changes,
    until,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

describe('a trust store', () => {
  it('starts empty without a file, and trusts and revokes on the disk', async () => {
    await using net = await openStore();
    await net.store.start();
    expect(net.store.list()).toEqual([]);
    const { identity } = net.store.trust(keyLine('eu'), { trust: 'tool', voter: true });
    expect(net.store.get(identity.id)).toMatchObject({ name: 'eu', trust: 'tool', voter: true, revoked: false });
    expect(statSync(net.path).mode & 0o777).toBe(0o600);
    net.store.revoke('eu');
    expect(net.store.get(identity.id)).toMatchObject({ revoked: true });
    expect(net.changes.map(({ type }) => type)).toEqual(['added', 'revoked']);
    await using again = new TrustStore({ path: net.path });
    await again.start();
    expect(again.get(identity.id)).toMatchObject({ name: 'eu', revoked: true });
    expect(readdirSync(net.directory)).toEqual(['authorized_peers']);
  });

  it('keeps comments, blank lines and lines that did not change, character by character', async () => {
    const [first, second] = [keyLine('a'), keyLine('b')];
    await using net = await openStore([
      '# my machines',
      '',
      `${first}   trust=full`,
      '  # the old one',
      `${second} voter,trust=tool`,
    ]);
    await net.store.start();
    net.store.revoke('a');
    net.store.trust(keyLine('c'), { trust: 'read' });
    expect(readFileSync(net.path, 'utf8').split('\n').slice(0, 5)).toEqual([
      '# my machines',
      '',
      `${first} trust=full,revoked`,
      '  # the old one',
      `${second} voter,trust=tool`,
    ]);
    expect(net.store.list().map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('refuses to start on a corrupt file, naming the line', async () => {
    await using net = await openStore(['# fine', keyLine('a'), 'skein-ed25519 garbage bob']);
    await expect(net.store.start()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('Line 3:') });
  });

  it('refuses the same key twice, naming both lines', async () => {
    const line = keyLine('a');
    await using net = await openStore([`${line} trust=read`, '', `${line} trust=full`]);
    await expect(net.store.start()).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/Line 3: .* line 1 /),
    });
  });

  it('refuses a file that other users may change, with the command that mends it', async () => {
    await using net = await openStore([keyLine('a')]);
    chmodSync(net.path, 0o666);
    await expect(net.store.start()).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringContaining(`chmod 600 ${net.path}`),
    });
  });

  it('takes over an edit within two seconds: added, changed and removed keys', async () => {
    const [first, second] = [keyLine('a'), keyLine('b')];
    await using net = await openStore([`${first} trust=read`, second]);
    await net.store.start();
    const started = performance.now();
    writeFileSync(net.path, `${first} trust=full\n${keyLine('c')}\n`);
    await net.until(() => net.changes.length >= 3);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(net.changes.map(({ type, record }) => [type, record.name])).toEqual([
      ['removed', 'b'],
      ['changed', 'a'],
      ['added', 'c'],
    ]);
  });

  it('sees an atomic rename onto the file, and one after it', async () => {
    await using net = await openStore([`${keyLine('a')} trust=read`]);
    await net.store.start();
    for (const name of ['b', 'c']) {
      writeFileSync(`${net.path}.new`, `${keyLine(name)}\n`, { mode: 0o600 });
      renameSync(`${net.path}.new`, net.path);
      await net.until(() => net.store.list().some((record) => record.name === name));
      expect(net.store.list()).toHaveLength(1);
    }
  });

  it('keeps the old state when the file becomes corrupt, says so once, and goes on when it is mended', async () => {
    const line = `${keyLine('a')} trust=full`;
    await using net = await openStore([line]);
    await net.store.start();
    appendFileSync(net.path, 'skein-ed25519 half a li');
    await net.until(() => net.errors.length > 0);
    expect(net.errors[0]).toMatchObject({ code: 'corrupt', message: expect.stringContaining('Line 2') });
    expect(net.store.list().map(({ name }) => name)).toEqual(['a']);
    expect(() => net.store.trust(keyLine('b'))).toThrow(expect.objectContaining({ code: 'corrupt' }));
    expect(readFileSync(net.path, 'utf8')).toContain('half a li');
    writeFileSync(net.path, `${line}\n${keyLine('b')}\n`);
    await net.until(() => net.store.list().length === 2);
    expect(net.errors).toHaveLength(1);
  });

  it('trusts nobody any more when the file is taken away for good', async () => {
    await using net = await openStore([keyLine('a')]);
    await net.store.start();
    rmSync(net.path);
    await net.until(() => net.changes.some(({ type }) => type === 'removed'));
    expect(net.store.list()).toEqual([]);
  });

  it('sees what another process trusted before it writes itself', async () => {
    await using net = await openStore([keyLine('a')]);
    await net.store.start();
    await using other = new TrustStore({ path: net.path });
    await other.start();
    other.trust(keyLine('b'));
    net.store.trust(keyLine('c'));
    expect(net.store.list().map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('keeps the ML-DSA key a peer has shown, whatever line it is trusted by again, until it is revoked', async () => {
    const line = keyLine('hybrid');
    const { identity } = parseKeyLine(line);
    const plain = `vole-ed25519 ${identity.key.export({ type: 'spki', format: 'der' }).toString('base64')} hybrid`;
    await using net = await openStore([plain]);
    await net.store.start();
    net.store.pinVoleKey(identity.id, 'UFE=');
    for (const again of [plain, line, `${plain} trust=tool`]) {
      expect(net.store.trust(again)).toMatchObject({ kind: 'vole', voleExtra: 'UFE=' });
      expect(net.store.trust(again, { trust: 'full' })).toMatchObject({ kind: 'vole', voleExtra: 'UFE=', trust: 'full' });
    }
    expect(net.store.trustInvited(line, { trust: 'tool' })).toMatchObject({ voleExtra: 'UFE=' });
    expect(net.store.trust(`${plain} QW5k`)).toMatchObject({ voleExtra: 'QW5k' });
    net.store.revoke(identity.id);
    expect(net.store.trust(plain)).toMatchObject({ revoked: false, voleExtra: undefined });
  });

  it('revokes by key line, id, beginning of an id and name; not by what fits several or none', async () => {
    const lines = [keyLine('a'), keyLine('a'), keyLine('b'), keyLine('c')];
    await using net = await openStore(lines);
    await net.store.start();
    const [, , b, c] = net.store.list();
    expect(() => net.store.revoke('a')).toThrow(/fits 2 keys: [a-z2-7]{8}, [a-z2-7]{8}/);
    expect(() => net.store.revoke('nobody')).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect(() => net.store.revoke(b?.identity.id.slice(0, 7) ?? '')).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect(net.store.revoke(b?.identity.id.slice(0, 8) ?? '')).toMatchObject({ name: 'b', revoked: true });
    expect(net.store.revoke(c?.identity.id ?? '')).toMatchObject({ name: 'c', revoked: true });
    expect(net.store.revoke(lines[0] ?? '')).toMatchObject({ name: 'a', revoked: true });
    const stranger = keyLine('stranger');
    const { identity } = net.store.revoke(stranger);
    expect(net.store.get(identity.id)).toMatchObject({ revoked: true });
    expect(readFileSync(net.path, 'utf8')).toContain(`${stranger} revoked\n`);
  });

  it('names the nearest name where one is not known', async () => {
    await using net = await openStore([keyLine('alpha'), keyLine('beta')]);
    await net.store.start();
    expect(() => net.store.revoke('alpa')).toThrow(/nearest name is "alpha"/);
  });

  it('gives a key another name where its own is taken, by whatever door it comes', async () => {
    const named = keyLine('alpha');
    await using net = await openStore([named]);
    await net.store.start();
    const invited = net.store.trustInvited(keyLine('alpha'), { trust: 'read' });
    const trusted = net.store.trust(keyLine('ALPHA'), { trust: 'read' });
    const [added] = net.store.addMissing([parseTrustLine(keyLine('alpha'))]);
    for (const record of [invited, trusted, added]) {
      const { identity, name } = record ?? invited;
      expect(name).toMatch(new RegExp(`^${identity.id.slice(0, 4)}-alpha$`, 'i'));
      expect(net.store.get(identity.id)?.name).toBe(name);
    }
    // Written down: it is never called so, not even when the first is gone.
    net.store.revoke(named);
    expect(net.store.list().filter(({ name, revoked }) => name === 'alpha' && !revoked)).toEqual([]);
    expect(net.store.trust(keyLine('alpha'))).toMatchObject({ name: 'alpha' });
  });

  it('keeps the names of a file that calls several keys the same, whatever becomes of one of them', async () => {
    const lines = [keyLine('alpha'), keyLine('alpha')];
    await using net = await openStore(lines);
    await net.store.start();
    const [first, second] = net.store.list();
    expect(first?.name).toBe('alpha');
    expect(second?.name).toMatch(/^[a-z2-7]{4}-alpha$/);
    expect([...net.store.renamed]).toEqual([[second?.identity.id, 'alpha']]);
    net.store.revoke(lines[0] ?? '');
    expect(net.store.list()[1]).toMatchObject({ identity: { id: second?.identity.id }, name: second?.name });
    expect(net.store.renamed.size).toBe(0);
  });

  it('takes a line of this node’s own keys for nothing, and adds none', async () => {
    const own = createIdentity();
    const former = createIdentity();
    const line = formatKeyLine(own, 'home');
    await using net = await openStore([line, keyLine('eu')]);
    await using store = new TrustStore({ path: net.path, ownName: 'home', ownIds: [own.id, former.id] });
    await store.start();
    expect(store.list().map(({ name }) => name)).toEqual(['eu']);
    for (const identity of [own, former]) {
      const refused = expect.objectContaining({ code: 'invalid', message: expect.stringContaining('own') });
      expect(() => store.trust(formatKeyLine(identity, 'other'), { trust: 'full' })).toThrow(refused);
      expect(() => store.trustInvited(formatKeyLine(identity, 'other'))).toThrow(refused);
      expect(store.addMissing([parseTrustLine(formatKeyLine(identity, 'other'))])).toEqual([]);
    }
    expect(store.trust(keyLine('home')).name).toMatch(/^[a-z2-7]{4}-home$/);
    expect(readFileSync(net.path, 'utf8')).toContain(`${line}\n`);
  });

  it('does not let an invitation undo a revocation, even one that only the file knows yet', async () => {
    const line = keyLine('a');
    await using net = await openStore([`${line} trust=full`]);
    await net.store.start();
    expect(net.store.trustInvited(line, { trust: 'tool' })).toMatchObject({ trust: 'tool' });
    writeFileSync(net.path, `${line} trust=full,revoked\n`);
    expect(() => net.store.trustInvited(line, { trust: 'full' })).toThrow(expect.objectContaining({ code: 'denied' }));
    expect(readFileSync(net.path, 'utf8')).toBe(`${line} trust=full,revoked\n`);
  });

  it('says that the file is corrupt when it is told to revoke in it', async () => {
    await using net = await openStore(['nonsense']);
    expect(() => net.store.revoke('a')).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('trusts a revoked key again only when told to', async () => {
    const line = keyLine('a');
    await using net = await openStore([`${line} trust=full,revoked`]);
    await net.store.start();
    expect(net.store.trust(line, { trust: 'tool' })).toMatchObject({ trust: 'tool', revoked: false });
    expect(net.store.list()).toHaveLength(1);
  });

  it('adds a grant to the line of a key without a word on the level, and writes the line anew with one', async () => {
    const line = keyLine('a');
    await using net = await openStore([`${line} trust=tool,deny=shell_*,url=ws://10.0.0.2:9700`]);
    await net.store.start();
    net.store.trust(line, { allowBrain: true });
    const added = `${line} trust=tool,allow-brain,deny=shell_*,url=ws://10.0.0.2:9700\n`;
    expect(readFileSync(net.path, 'utf8')).toBe(added);
    net.store.trust(line);
    expect(readFileSync(net.path, 'utf8')).toBe(added);
    net.store.trust(line, { trust: 'read' });
    expect(readFileSync(net.path, 'utf8')).toBe(`${line} trust=read\n`);
  });

  it('gives a revoked key that is trusted anew nothing of what it had', async () => {
    const line = keyLine('a');
    await using net = await openStore([`${line} trust=full,allow-brain,revoked`]);
    await net.store.start();
    expect(net.store.trust(line)).toMatchObject({ trust: 'read', assumed: true, allowBrain: false, revoked: false });
  });

  it('does not take a half-written file for the whole', async () => {
    const line = `${keyLine('a')} trust=full`;
    await using net = await openStore([line]);
    await net.store.start();
    writeFileSync(net.path, '');
    await setImmediate();
    writeFileSync(net.path, `${line}\n${keyLine('b')}\n`);
    await net.until(() => net.store.list().length === 2);
    expect(net.changes.map(({ type }) => type)).toEqual(['added']);
  });

  it('reports no change to a listener that left', async () => {
    await using net = await openStore();
    await net.store.start();
    let heard = 0;
    const leave = net.store.onChange(() => {
      heard += 1;
    });
    net.store.trust(keyLine('a'));
    leave();
    net.store.trust(keyLine('b'));
    expect(heard).toBe(1);
  });

  it('keeps the ML-DSA key of a VoleNet peer with its line as the file is now, and revives no revoked one', async () => {
    await using net = await openStore();
    const [line, gone] = [keyLine('vole'), keyLine('gone')];
    const { id } = net.store.trust(line, { trust: 'full' }).identity;
    const lost = net.store.trust(gone).identity.id;
    // Another process lowers the one and revokes the other.
    const other = new TrustStore({ path: net.path });
    other.trust(line, { trust: 'read' });
    other.revoke(gone);
    net.store.pinVoleKey(id, 'AAAA');
    net.store.pinVoleKey(lost, 'AAAA');
    const [first, second] = readFileSync(net.path, 'utf8').trim().split('\n');
    expect(first).toMatch(/^vole-ed25519 \S+ vole AAAA trust=read$/);
    expect(second).toContain('revoked');
    expect(second).not.toContain('AAAA');
  });

  it('adds only keys that have no line and are on no revocation list, at once', async () => {
    await using net = await openStore();
    const [known, gone, listed, fresh] = ['known', 'gone', 'listed', 'fresh'].map((name) => keyLine(name));
    const lines = [known, gone, listed, fresh].map((line) => parseTrustLine(`${line ?? ''} trust=full`));
    const isListed = (id: string) => id === lines[2]?.identity.id;
    const store = new TrustStore({ path: net.path, isListed });
    store.trust(known ?? '', { trust: 'read' });
    store.revoke(gone ?? '');
    const before = readFileSync(net.path, 'utf8');
    expect(store.addMissing(lines).map(({ name }) => name)).toEqual(['fresh']);
    expect(readFileSync(net.path, 'utf8')).toBe(`${before}${fresh} trust=full\n`);
    expect(store.addMissing(lines)).toEqual([]);
  });
});

describe('a revocation that is shared', () => {
  const shared = Array.from(
    { length: REVOCATIONS_MAX - 1 },
    (_, index) => `${formatKeyLine(publicIdentity(Buffer.alloc(32, `${index} `)), `old${index}`)} revoked,share-revocation`,
  );

  it('has its place up to the bound of a list; one more is refused, and says what to do', async () => {
    const [last, over] = [keyLine('last'), keyLine('over')];
    await using net = await openStore([...shared, last, over]);
    net.store.revoke('last', { share: true });
    const text = readFileSync(net.path, 'utf8');
    expect(() => net.store.revoke('over', { share: true })).toThrow(
      expect.objectContaining({ code: 'too-large', message: expect.stringMatching(/1024 keys.* 1025\b.* without --share/) }),
    );
    expect(readFileSync(net.path, 'utf8')).toBe(text);
    // One that is named already needs no more room, and one that is not shared none at all.
    expect(net.store.revoke('last', { share: true })).toMatchObject({ shareRevocation: true });
    expect(net.store.revoke('over')).toMatchObject({ revoked: true, shareRevocation: false });
  });

  it('counts the keys that go along', async () => {
    const [x, y] = [createIdentity(), createIdentity()];
    const lines = [`${formatKeyLine(x, 'x')} revoked,successor=${y.id}`, formatKeyLine(y, 'y')];
    await using net = await openStore([...shared, ...lines]);
    expect(() => net.store.revoke(x.id, { share: true })).toThrow(expect.objectContaining({ code: 'too-large' }));
    expect(readFileSync(net.path, 'utf8')).toContain(`${formatKeyLine(y, 'y')}\n`);
  });
});
