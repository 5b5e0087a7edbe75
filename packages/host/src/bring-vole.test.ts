import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { formatVoleLine } from '@skein/dialects';
import { formatTrustLine, parseTrustLine, TRUST_DEFAULTS } from '@skein/mesh';
import { createIdentity, formatIdentity, SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';
import { type BroughtVole, bringVole } from './bring-vole.ts';
import { type LoadedVole, loadConfig } from './config/load-config.ts';
import { dataDir } from './data-dir.ts';
import { createLog } from './log.ts';
import { openNodeFiles } from './node-files.ts';
import { loadOrCreateNodeKey } from './node-key.ts';

/** The folder of an OpenVole node with tools to share, brought over as a start does it. */
class VolePlace implements Disposable {
  readonly cwd = mkdtempSync(path.join(os.tmpdir(), 'skein-bring-'));
  readonly net = path.join(this.cwd, '.openvole', 'net');
  readonly trustFile = path.join(this.cwd, '.skein', 'authorized_peers');

  constructor(lines: string) {
    mkdirSync(this.net, { recursive: true });
    writeFileSync(path.join(this.cwd, 'vole.config.json'), '{"net":{"enabled":true,"share":{"tools":true}}}');
    this.authorize(lines);
  }

  authorize(lines: string): void {
    writeFileSync(path.join(this.net, 'authorized_voles'), lines, { mode: 0o644 });
  }

  async start(more: Partial<LoadedVole> = {}): Promise<BroughtVole> {
    const loaded = loadConfig({ cwd: this.cwd, env: {} });
    const { vole } = loaded;
    if (vole === undefined) throw new Error('it was not read as VoleNet');
    const dir = dataDir(loaded.config.dataDir);
    await using stack = new AsyncDisposableStack();
    const fail = (error: SkeinError) => {
      throw error;
    };
    const key = loadOrCreateNodeKey(loaded);
    mkdirSync(dir.root, { recursive: true, mode: 0o700 });
    const files = await openNodeFiles({ dir, key, name: loaded.config.name, onAuditError: fail, onTrustError: fail }, stack);
    return bringVole({ vole: { ...vole, ...more }, files, dir, log: createLog({ level: 'silent' }) });
  }

  trusted(): string {
    return readFileSync(this.trustFile, 'utf8');
  }

  [Symbol.dispose](): void {
    rmSync(this.cwd, { recursive: true, force: true });
  }
}

const anna = createIdentity();
const annaLine = formatVoleLine(anna, 'anna');

test('keys are added with the level that was found for them, blank lines and comments passed over', async () => {
  using place = new VolePlace(`# friends\n\n${annaLine}\n`);
  expect(await place.start()).toMatchObject({ added: [{ name: 'anna', trust: 'tool' }], kept: 0, skipped: [] });
  expect(place.trusted()).toBe(`${annaLine} trust=tool,assumed\n`);
  place.authorize(`${annaLine}\n${formatVoleLine(createIdentity(), 'bert')}\n`);
  expect(await place.start({ trustUnlisted: 'read' })).toMatchObject({ added: [{ name: 'bert', trust: 'read' }], kept: 1 });
});

test('a line that is there stays as a person left it, and a revocation is not undone', async () => {
  using place = new VolePlace(`${annaLine}\n`);
  await place.start();
  for (const options of ['trust=read,deny=shell_*', 'trust=tool,revoked']) {
    const mine = `# mine\nskein-ed25519 ${Buffer.from(anna.bytes).toString('base64')} annie ${options}\n`;
    writeFileSync(place.trustFile, mine, { mode: 0o600 });
    expect(await place.start()).toMatchObject({ added: [], kept: 1 });
    expect(place.trusted()).toBe(mine);
  }
});

test('words behind the name never become options of trust', async () => {
  using place = new VolePlace(`${annaLine} trust=full,allow-brain,voter\n${annaLine} revoker trust=full\n`);
  await place.start();
  expect(parseTrustLine(place.trusted())).toMatchObject({
    ...TRUST_DEFAULTS,
    trust: 'tool',
    voleExtra: undefined,
  });
});

test('the ML-DSA key of a line is kept, and a name that is none here becomes one', async () => {
  const { publicKey } = generateKeyPairSync('ml-dsa-65');
  const line = formatVoleLine(anna, 'anna', publicKey);
  using place = new VolePlace(`${line.replace(' anna ', ' «anna@home» ')}\n`);
  const { added } = await place.start();
  const [record] = added;
  expect(record?.name).toBe('anna-home-');
  expect(record === undefined ? '' : formatTrustLine(record)).toBe(
    `${line.replace(' anna ', ' anna-home- ')} trust=tool,assumed`,
  );
  expect(parseTrustLine(place.trusted())).toEqual(record);
});

test('a line that does not read is told with its number, and the others count', async () => {
  using place = new VolePlace(`vole-ed25519 nonsense x\n${annaLine}\n`);
  expect(await place.start()).toMatchObject({ added: [{ name: 'anna' }], skipped: [{ line: 1, reason: expect.any(String) }] });
});

test("this node's own key is no peer", async () => {
  using place = new VolePlace('');
  const own = createIdentity();
  writeFileSync(path.join(place.net, 'vole_key'), formatIdentity(own), { mode: 0o600 });
  place.authorize(`${formatVoleLine(own, 'me')}\n`);
  expect(await place.start()).toMatchObject({ added: [], kept: 0 });
});

test('a list that other users may write trusts nobody, and stops the start with what to do', async () => {
  using place = new VolePlace(`${annaLine}\n`);
  chmodSync(path.join(place.net, 'authorized_voles'), 0o666);
  const error: unknown = await place.start().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SkeinError);
  expect(error).toMatchObject({ code: 'denied', message: expect.stringContaining('chmod 600') });
  expect(existsSync(place.trustFile)).toBe(false);
});

test('where there is no list nobody is trusted, and a key is made where OpenVole has its own', async () => {
  using place = new VolePlace('');
  rmSync(path.join(place.net, 'authorized_voles'));
  expect(await place.start()).toEqual({ added: [], kept: 0, skipped: [] });
  expect(statSync(path.join(place.net, 'vole_key')).mode & 0o777).toBe(0o600);
  expect(existsSync(path.join(place.cwd, '.skein', 'key'))).toBe(false);
});

test('the further keys of the node become its own here, once, and stay where they are', async () => {
  using place = new VolePlace('');
  const pem = generateKeyPairSync('ml-dsa-65').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeFileSync(path.join(place.net, 'vole_key.pq'), pem, { mode: 0o600 });
  await place.start();
  const here = path.join(place.cwd, '.skein', 'volenet');
  const [name = ''] = readdirSync(here);
  expect(readdirSync(here)).toEqual([expect.stringContaining('ml-dsa-65')]);
  expect(readFileSync(path.join(here, name), 'utf8')).toBe(pem);
  expect(statSync(path.join(here, name)).mode & 0o777).toBe(0o600);
  const other = generateKeyPairSync('ml-dsa-65').privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(path.join(place.net, 'vole_key.pq'), other, { mode: 0o600 });
  await place.start();
  expect(readFileSync(path.join(here, name), 'utf8')).toBe(pem);
});
