import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { MemoryStore, memoryMigrations } from '@skein/agent';
import { formatVoleLine } from '@skein/dialects';
import { openDatabase } from '@skein/engine';
import { createIdentity, formatIdentity } from '@skein/protocol';
import { expect, test } from 'vitest';
import { VOLE_GUIDES } from '../../test/vole-guides.ts';
import { loadConfig } from '../config/load-config.ts';
import { type ImportVoleOptions, importVole } from './import-vole.ts';

const own = createIdentity();
const peer = createIdentity();

class Places implements Disposable {
  readonly root = mkdtempSync(path.join(os.tmpdir(), 'skein-import-'));
  readonly from = path.join(this.root, 'vole');
  readonly to = path.join(this.root, 'node');

  constructor(config: object = VOLE_GUIDES['one brain, distributed tools']?.['us-monitor'] ?? {}) {
    this.write('vole.config.json', JSON.stringify(config));
    this.write('.openvole/net/vole_key', formatIdentity(own));
    this.write('.openvole/net/authorized_voles', `${formatVoleLine(peer, 'coordinator')}\n`);
  }

  write(name: string, text: string): void {
    const file = path.join(this.from, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });
  }

  import(options: Partial<ImportVoleOptions> = {}) {
    return importVole({ from: this.from, to: this.to, force: false, withoutMissing: false, env: {}, ...options });
  }

  /** Every file of a folder with its content and mode. */
  snapshot(folder: string): readonly string[] {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file) => `${file} ${statSync(file).mode} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`)
      .sort();
  }

  facts() {
    using database = openDatabase({ path: path.join(this.to, '.skein', 'node.db'), migrations: memoryMigrations });
    return new MemoryStore({ database, now: Date.now, randomId: () => 'none' }).latest({ limit: 50 });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

test('config, key and trust come over, and what they come from stays as it is', async () => {
  using places = new Places();
  const before = places.snapshot(places.from);
  const imported = await places.import();
  expect(imported).toMatchObject({
    file: path.join(places.to, 'skein.config.json'),
    key: { name: 'us-monitor', peerId: own.id, keyPath: path.join(places.to, '.skein', 'key') },
    keyCame: 'copied',
    trusted: [{ id: peer.id, name: 'coordinator', trust: 'tool' }],
    skipped: [],
    leftOut: [],
  });
  expect(places.snapshot(places.from)).toEqual(before);
  expect(statSync(path.join(places.to, '.skein', 'key')).mode & 0o777).toBe(0o600);
  const { config, vole } = loadConfig({ cwd: places.to, env: {} });
  expect(vole).toBeUndefined();
  expect(config).toMatchObject({ name: 'us-monitor', net: { port: 9701, volenet: true }, tools: { enabled: ['shell_exec'] } });
  expect(readFileSync(imported.file, 'utf8')).toMatch(/^\s*\/\/ /m);
});

test('paths that were meant from its folder mean the same from the new one', async () => {
  using places = new Places({
    paws: [{ name: '@openvole/paw-filesystem', allow: { filesystem: ['./data'] } }],
    net: { tls: { cert: 'c.pem', key: '/k.pem' } },
  });
  await places.import();
  const { config } = loadConfig({ cwd: places.to, env: {} });
  expect(config.tools.root).toBe(path.join(places.from, 'data'));
  expect(config.net.tls).toEqual({ cert: path.join(places.from, 'c.pem'), key: '/k.pem' });
});

test('in the same folder, the config of ours counts from then on', async () => {
  using places = new Places();
  await places.import({ to: places.from });
  const { file, config } = loadConfig({ cwd: places.from, env: {} });
  expect(file).toBe(path.join(places.from, 'skein.config.json'));
  expect(config.tools.root).toBe(places.from);
});

test('a config that is there is not written over unless that is asked for; nothing is written then', async () => {
  using places = new Places();
  mkdirSync(places.to);
  writeFileSync(path.join(places.to, 'skein.config.json'), '{ "name": "mine" }');
  await expect(places.import()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('--force') });
  expect(readdirSync(places.to)).toEqual(['skein.config.json']);
  await places.import({ force: true });
  expect(loadConfig({ cwd: places.to, env: {} }).config.name).toBe('us-monitor');
  expect(await places.import({ force: true })).toMatchObject({ keyCame: 'kept', trusted: [], alreadyKnown: 1 });
});

test('another key is never written over, whatever is asked for; nothing is written then', async () => {
  using places = new Places();
  const file = path.join(places.to, '.skein', 'key');
  mkdirSync(path.dirname(file), { recursive: true });
  const mine = formatIdentity(createIdentity());
  writeFileSync(file, mine, { mode: 0o600 });
  await expect(places.import({ force: true })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(file),
  });
  expect(readFileSync(file, 'utf8')).toBe(mine);
  expect(existsSync(path.join(places.to, 'skein.config.json'))).toBe(false);
});

test('what this version lacks is refused by name, or left out and told', async () => {
  using places = new Places({ paws: ['@openvole/paw-shell', '@openvole/paw-telegram'] });
  await expect(places.import()).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/paw-telegram: .*\n.*--without-missing/),
  });
  expect(existsSync(places.to)).toBe(false);
  const { leftOut } = await places.import({ withoutMissing: true });
  expect(leftOut).toEqual([expect.stringContaining('@openvole/paw-telegram')]);
});

test('what it remembers comes over a paragraph or a point of a list a fact, as text from outside, and once', async () => {
  using places = new Places();
  const long = 'word '.repeat(1_000).trim();
  places.write(
    '.openvole/paws/paw-memory/MEMORY.md',
    `# Facts\r\n\r\nThe door is green.\r\n\r\n## More\n- tea\n- no sugar\n  at all\n\nDrinks:\n1. cold\n2) still\n\n---\n\n5 - 3 is 2\n\n${long}\n`,
  );
  expect(await places.import()).toMatchObject({ facts: 8 });
  const facts = places.facts();
  expect(facts.map(({ text }) => text)).toEqual(
    expect.arrayContaining(['The door is green.', 'tea', 'no sugar\n  at all', 'Drinks: cold', 'Drinks: still', '5 - 3 is 2']),
  );
  for (const fact of facts) {
    expect(fact).toMatchObject({ author: 'me', source: 'imported from MEMORY.md', trusted: false });
    expect(fact.text.length).toBeLessThanOrEqual(4_000);
  }
  expect(await places.import({ force: true })).toMatchObject({ facts: 0 });
});

test('without a key one is made, and that is told', async () => {
  using places = new Places();
  rmSync(path.join(places.from, '.openvole', 'net', 'vole_key'));
  const imported = await places.import();
  expect(imported.keyCame).toBe('made');
  expect(imported.notes.join()).not.toContain('stop it before');
});

test('what cannot be read is named: no config, a damaged one, a damaged key', async () => {
  using places = new Places();
  await expect(places.import({ from: places.root })).rejects.toMatchObject({ code: 'not-found' });
  places.write('.openvole/net/vole_key', 'nonsense');
  await expect(places.import()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('vole_key') });
  expect(existsSync(places.to)).toBe(false);
  places.write('vole.config.json', '{ "net": { "prot": 1 } }');
  await expect(places.import()).rejects.toMatchObject({
    message: expect.stringMatching(/vole\.config\.json:1:12: net\.prot: /),
  });
});

test('schedules, the vault and what else is left behind are named', async () => {
  using places = new Places();
  places.write('.openvole/schedules.json', '[]');
  places.write('.openvole/vault.json', '{}');
  const { notes } = await places.import();
  expect(notes.filter((note) => /^\.openvole\/(schedules|vault)\.json: /.test(note))).toHaveLength(2);
});
