import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { createNode } from './run-here.ts';
import { noTerminal, SkeinProcess, SkeinTerminal, skein, TempDir } from './skein-process.ts';

const ENTER = '\r';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const PASSPHRASE = 'correct horse battery';

/** A running node, and an invitation of its. */
async function startInviting(): Promise<{ dir: TempDir; node: SkeinProcess; code: string } & AsyncDisposable> {
  const dir = await createNode('alpha');
  const node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  const { port } = await node.line(({ type }) => type === 'ready');
  const { lines } = await skein(dir.path, ['invite', '--json', '--address', `127.0.0.1:${String(port)}`]);
  return {
    dir,
    node,
    code: String(lines[0]?.code),
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
    },
  };
}

const trustOf = (dir: TempDir) => readFileSync(path.join(dir.path, '.skein/authorized_peers'), 'utf8');
const keyOf = (dir: TempDir) => readFileSync(path.join(dir.path, '.skein/key'), 'utf8');

describe.skipIf(noTerminal !== null)(`on a terminal${noTerminal === null ? '' : ` (left out: ${noTerminal})`}`, () => {
  test('join shows the words of the inviter, asks what it may do here, and does what was chosen', async () => {
    await using alpha = await startInviting();
    using beta = await createNode('beta');
    await using joining = new SkeinTerminal(['join', alpha.code], { cwd: beta.path });
    const [, words] = await joining.said(/The invitation is from:\s+([a-z ]+)/);
    await joining.said(/Then what may it do here\?/);
    // From "tool", which stands first, to "read".
    joining.type(DOWN);
    joining.type(ENTER);
    await joining.said(/Paired with alpha/);
    expect((await joining.result()).code).toBe(0);
    expect(trustOf(beta)).toMatch(/ alpha trust=read,url=ws:/);
    const { lines } = await skein(alpha.dir.path, ['net', 'show-key', '--json']);
    expect(lines[0]?.fingerprint).toBe(words?.trim());
  });

  test('Ctrl-C at the question of a join changes nothing, here or there', async () => {
    await using alpha = await startInviting();
    using beta = await createNode('beta');
    await using joining = new SkeinTerminal(['join', alpha.code], { cwd: beta.path });
    await joining.said(/Then what may it do here\?/);
    joining.type(CTRL_C);
    expect((await joining.result()).code).not.toBe(0);
    expect(() => trustOf(beta)).toThrow(/ENOENT/);
    expect((await skein(beta.path, ['join', alpha.code, '--yes', '--json'])).code).toBe(0);
  });

  test('init asks for a passphrase twice and shows none of it; every use of the key asks for it', async () => {
    using dir = new TempDir();
    await using initialising = new SkeinTerminal(
      ['init', 'alpha', '--yes', '--port', '0', '--brain', 'intents', '--passphrase'],
      {
        cwd: dir.path,
      },
    );
    await initialising.said(/New passphrase/);
    initialising.type(`${PASSPHRASE}${ENTER}`);
    await initialising.said(/The same again/);
    initialising.type(`${PASSPHRASE}${ENTER}`);
    const { code, stdout } = await initialising.result();
    expect(code).toBe(0);
    expect(stdout).not.toContain(PASSPHRASE);
    expect(keyOf(dir)).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    await using starting = new SkeinTerminal(['start'], { cwd: dir.path });
    await starting.said(/Passphrase of .*key/);
    starting.type(`${PASSPHRASE}${ENTER}`);
    await starting.said(/alpha.* is up on port/);
    starting.type(CTRL_C);
    await starting.result();
    await using refused = new SkeinTerminal(['net', 'show-key'], { cwd: dir.path });
    await refused.said(/Passphrase of .*key/);
    refused.type(`something else${ENTER}`);
    await refused.said(/does not open the key/);
    expect((await refused.result()).code).not.toBe(0);
    // A new config beside it is written when the key opens, and else the one before stays.
    const config = () => readFileSync(path.join(dir.path, 'skein.config.json'), 'utf8');
    const before = config();
    const unasked = await skein(dir.path, ['init', 'beta', '--yes', '--force', '--json']);
    expect(unasked.lines.at(-1)).toMatchObject({ type: 'error', message: expect.stringContaining('passphrase') });
    expect(config()).toBe(before);
    await using again = new SkeinTerminal(['init', 'beta', '--yes', '--force'], { cwd: dir.path });
    await again.said(/Passphrase of .*key/);
    again.type(`${PASSPHRASE}${ENTER}`);
    await again.said(/Kept the key/);
    expect(config()).toContain('"name": "beta"');
  });
});

describe.skipIf(noTerminal !== null)(`asked on a terminal${noTerminal === null ? '' : ` (left out: ${noTerminal})`}`, () => {
  test('init tells a name that will not do where it was typed, and takes the next', async () => {
    using dir = new TempDir();
    await using initialising = new SkeinTerminal(['init', '--port', '0', '--brain', 'intents'], { cwd: dir.path });
    await initialising.said(/What is this node called/);
    initialising.type(`bad name!${ENTER}`);
    await initialising.said(/"bad name!" is no name for a node: expected 1 to 64 letters/);
    initialising.type(`${'\u007f'.repeat(9)}good-name${ENTER}`);
    await initialising.said(/Let trusted peers call/);
    initialising.type(ENTER);
    await initialising.said(/This node is good-name/);
    expect((await initialising.result()).code).toBe(0);
  });

  test('a new passphrase that is too short is told at once, before it is asked for again', async () => {
    using dir = await createNode('alpha');
    await using setting = new SkeinTerminal(['net', 'passphrase'], { cwd: dir.path });
    await setting.said(/New passphrase/);
    setting.type(`short${ENTER}`);
    await setting.said(/A passphrase has 12 to 1000 characters, not 5/);
    expect(setting.shown).not.toMatch(/The same again/);
    setting.type(`${'\u007f'.repeat(5)}${PASSPHRASE}${ENTER}`);
    await setting.said(/The same again/);
    setting.type(`${PASSPHRASE}${ENTER}`);
    await setting.said(/has the new passphrase/);
  });
});

test.each([
  ['init', 'bad name'],
  ['init', '--name', 'bad name'],
  ['net', 'init', 'bad name'],
])('%s %s with a name that will not do is refused with that name, and writes nothing', async (...args) => {
  using dir = new TempDir();
  const { code, lines } = await skein(dir.path, [...args.filter((word) => word !== undefined), '--json']);
  expect(code).toBe(1);
  expect(lines).toEqual([
    {
      type: 'error',
      code: 'invalid',
      message: expect.stringMatching(/^"bad name" is no name for a node: expected 1 to 64 letters/),
    },
  ]);
  expect(readdirSync(dir.path)).toEqual([]);
});

test('a key with a passphrase is opened by the file that the configuration or the environment names, and else not', async () => {
  using dir = new TempDir();
  const file = path.join(dir.path, 'passphrase');
  writeFileSync(file, `${PASSPHRASE}\n`, { mode: 0o600 });
  const node = path.join(dir.path, 'node');
  const made = await skein(dir.path, [
    '-C',
    node,
    'init',
    'alpha',
    '--yes',
    '--port',
    '0',
    '--brain',
    'intents',
    '--passphrase-file',
    file,
    '--json',
  ]);
  expect(made.code).toBe(0);
  expect(statSync(path.join(node, '.skein/key')).mode & 0o777).toBe(0o600);
  await using running = new SkeinProcess(['start', '--json'], { cwd: node });
  await running.line(({ type }) => type === 'ready');
  expect((await skein(node, ['ask', 'how much memory is free?', '--json'])).code).toBe(0);
  await running[Symbol.asyncDispose]();
  // Without the file, nobody is asked where there is nobody: a clear error, and nothing of the passphrase in it.
  const other = path.join(dir.path, 'other.json');
  writeFileSync(other, JSON.stringify({ name: 'alpha', dataDir: path.join(node, '.skein'), net: { port: 0 } }));
  const refused = await skein(node, ['--config', other, 'start', '--json']);
  expect(refused.lines.at(-1)).toMatchObject({
    type: 'error',
    code: 'unauthenticated',
    message: expect.stringContaining(path.join(node, '.skein/key')),
  });
  expect(refused.stdout + refused.stderr).not.toContain(PASSPHRASE);
  await using named = new SkeinProcess(['--config', other, 'net', 'show-key', '--json'], {
    cwd: node,
    env: { SKEIN_KEY_PASSPHRASE_FILE: file },
  });
  expect((await named.result()).lines[0]).toMatchObject({ type: 'key', name: 'alpha' });
});

test('net passphrase sets and removes it, and net rotate-key keeps it', async () => {
  using dir = await createNode('alpha');
  const file = path.join(dir.path, 'passphrase');
  writeFileSync(file, PASSPHRASE, { mode: 0o600 });
  const before = await skein(dir.path, ['net', 'show-key', '--json']);
  expect((await skein(dir.path, ['net', 'passphrase', '--new-file', file, '--json'])).lines[0]).toMatchObject({
    encrypted: true,
  });
  const env = { SKEIN_KEY_PASSPHRASE_FILE: file };
  const run = async (...args: readonly string[]) => {
    await using process = new SkeinProcess([...args, '--json'], { cwd: dir.path, env });
    return (await process.result()).lines.at(-1);
  };
  expect(await run('net', 'show-key')).toMatchObject({ peerId: before.lines[0]?.peerId });
  const rotated = await run('net', 'rotate-key');
  expect(rotated).toMatchObject({ type: 'key-rotated', former: { peerId: before.lines[0]?.peerId } });
  expect(keyOf(dir)).toContain('BEGIN ENCRYPTED PRIVATE KEY');
  expect(await run('net', 'show-key')).toMatchObject({ peerId: rotated?.peerId });
  expect(await run('net', 'passphrase', '--remove')).toMatchObject({ encrypted: false });
  expect((await skein(dir.path, ['net', 'show-key', '--json'])).lines[0]).toMatchObject({ peerId: rotated?.peerId });
  const { lines } = await skein(dir.path, ['net', 'passphrase', '--json']);
  expect(lines[0]).toMatchObject({ type: 'error', code: 'invalid' });
});
