import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createNode } from './run-here.ts';
import { type Line, SkeinProcess, skein, TempDir } from './skein-process.ts';

/** How soon a session of a key that was revoked must be gone. */
const CLOSED_MS = 2_000;

/** As people may: into the file itself. */
function trust(dir: TempDir, ...lines: readonly string[]): void {
  writeFileSync(path.join(dir.path, '.skein/authorized_peers'), lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
}

const keyFile = (dir: TempDir) => path.join(dir.path, '.skein/key');
const inDir = (dir: TempDir) => ({ cwd: dir.path });
const last = async (dir: TempDir, ...args: string[]): Promise<Line> =>
  (await skein(dir.path, [...args, '--json'])).lines.at(-1) ?? {};

test('a stolen key is replaced by its root from a fresh folder: peers follow, and the thief is out and stays out', async () => {
  using stick = new TempDir();
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  using worker = await createNode('worker');
  using stolen = new TempDir();
  using rotated = new TempDir();
  const file = path.join(stick.path, 'root');
  const made = await last(worker, 'net', 'root', 'init', file);
  const words = String((await last(worker, 'net', 'show-key')).root);
  expect(made).toMatchObject({ type: 'root-made', file, root: { fingerprint: words } });
  expect(statSync(file).mode & 0o777).toBe(0o600);

  const peers: { readonly dir: TempDir; readonly process: SkeinProcess }[] = [];
  const lines: string[] = [];
  await using running = new AsyncDisposableStack();
  for (const dir of [alpha, beta]) {
    trust(dir, `${worker.line} trust=tool`);
    const process = running.use(new SkeinProcess(['start', '--json'], inDir(dir)));
    const { port } = await process.line(({ type }) => type === 'ready');
    peers.push({ dir, process });
    lines.push(`${dir.line} trust=tool,url=ws://127.0.0.1:${String(port)}`);
  }
  trust(worker, ...lines);
  const old = worker.id;
  {
    await using _running = new SkeinProcess(['start', '--json'], inDir(worker));
    for (const { process } of peers) await process.line(({ type, id }) => type === 'peer-joined' && id === old);
  }
  expect(await last(alpha, 'net', 'peers')).toMatchObject({ id: old, root: words });
  expect((await skein(beta.path, ['net', 'peers'])).stdout).toContain(`root ${words}`);

  // All of the node is in other hands, and gone where it was.
  for (const dir of [stolen, rotated]) cpSync(worker.path, dir.path, { recursive: true });
  rmSync(worker.path, { recursive: true });

  // The thief would be its successor, and is told that it takes the root; then does without, and is refused.
  expect(await last(rotated, 'net', 'rotate-key')).toMatchObject({ type: 'error', code: 'conflict' });
  const text = readFileSync(keyFile(rotated), 'utf8');
  writeFileSync(keyFile(rotated), text.replace(/^skein-root .*\n/m, ''));
  const { peerId: thiefs } = await last(rotated, 'net', 'rotate-key');
  expect(thiefs).toEqual(expect.any(String));
  {
    await using _posing = new SkeinProcess(['start', '--json'], inDir(rotated));
    for (const { dir, process } of peers) {
      const { problem } = await process.line(({ type, id }) => type === 'peer-problem' && id === thiefs);
      expect(problem).toMatch(/lacks the signature of the root/);
      expect(readFileSync(path.join(dir.path, '.skein/authorized_peers'), 'utf8')).not.toContain(`successor=`);
    }
  }

  // With the key as it is the thief still gets in, until the owner comes.
  await using thief = new SkeinProcess(['start', '--json'], inDir(stolen));
  for (const name of ['alpha', 'beta']) await thief.line((line) => line.type === 'peer-joined' && line.name === name);
  using fresh = await createNode('worker');
  const again = await last(fresh, 'net', 'rotate-key', '--root', file, '--lost', 'worker');
  expect(again).toMatchObject({ type: 'key-rotated', former: { peerId: old }, root: words });
  trust(fresh, ...lines);
  await using owner = new SkeinProcess(['start', '--json'], inDir(fresh));
  for (const { dir, process } of peers) {
    await process.line(({ type, id }) => type === 'peer-joined' && id === again.peerId);
    const joinedMs = performance.now();
    const lefts = ({ type, id }: Line) => type === 'peer-left' && id === old;
    // Of the node itself first, as it was stopped; then of the thief.
    await process.line((line) => lefts(line) && /revoked|trust/.test(String(line.reason)));
    expect(performance.now() - joinedMs).toBeLessThan(CLOSED_MS);
    expect(readFileSync(path.join(dir.path, '.skein/authorized_peers'), 'utf8')).toMatch(
      new RegExp(`revoked,successor=${String(again.peerId)}\\n.* worker trust=tool,root=`),
    );
  }
  await owner.line(({ type, name }) => type === 'tools-changed' && name === 'alpha');
  expect(await last(fresh, 'call', 'alpha/list_files', '{}')).toMatchObject({ type: 'result' });
  await thief.line(({ type, problem }) => type === 'peer-problem' && /revoked/.test(String(problem)));
  expect(await last(stolen, 'call', 'alpha/list_files', '{}')).toMatchObject({ type: 'error' });
});

test('a root key is not made in the folder of the node, nor over a file, nor twice, nor while the node runs', async () => {
  using stick = new TempDir();
  using alpha = await createNode('alpha');
  const key = readFileSync(keyFile(alpha), 'utf8');
  expect(await last(alpha, 'net', 'root', 'init', '.skein/root')).toMatchObject({ type: 'error', code: 'invalid' });
  expect(existsSync(path.join(alpha.path, '.skein/root'))).toBe(false);
  const file = path.join(stick.path, 'root');
  writeFileSync(file, 'something else', { mode: 0o600 });
  expect(await last(alpha, 'net', 'root', 'init', file)).toMatchObject({ type: 'error', code: 'conflict' });
  expect(readFileSync(file, 'utf8')).toBe('something else');
  rmSync(file);
  {
    await using running = new SkeinProcess(['start', '--json'], inDir(alpha));
    await running.line(({ type }) => type === 'ready');
    expect(await last(alpha, 'net', 'root', 'init', file)).toMatchObject({ type: 'error', code: 'conflict' });
  }
  expect(existsSync(file)).toBe(false);
  expect(readFileSync(keyFile(alpha), 'utf8')).toBe(key);
  expect(await last(alpha, 'net', 'root', 'init', file)).toMatchObject({ type: 'root-made' });
  expect(await last(alpha, 'net', 'root', 'init', `${file}2`)).toMatchObject({ type: 'error', code: 'conflict' });
  expect(existsSync(`${file}2`)).toBe(false);
  // Another node may have the same one.
  using beta = await createNode('beta');
  expect(await last(beta, 'net', 'root', 'bind', file)).toMatchObject({ type: 'root-bound' });
  expect(await last(beta, 'net', 'rotate-key', '--root', file)).toMatchObject({ type: 'key-rotated', name: 'beta' });
});

test('a root key with a passphrase is used with it alone', async () => {
  using stick = new TempDir();
  using alpha = await createNode('alpha');
  const file = path.join(stick.path, 'root');
  const passphrase = path.join(stick.path, 'passphrase');
  writeFileSync(passphrase, 'correct horse battery\n', { mode: 0o600 });
  expect(await last(alpha, 'net', 'root', 'init', file, '--passphrase-file', passphrase)).toMatchObject({ type: 'root-made' });
  expect(readFileSync(file, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
  expect(await last(alpha, 'net', 'rotate-key', '--root', file)).toMatchObject({ type: 'error', code: 'unauthenticated' });
  const given = ['--root-passphrase-file', passphrase];
  expect(await last(alpha, 'net', 'rotate-key', '--root', file, ...given)).toMatchObject({ type: 'key-rotated' });
  expect(await last(alpha, 'net', 'rotate-key', ...given)).toMatchObject({ type: 'error', code: 'invalid' });
});
