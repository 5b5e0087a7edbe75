import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createNode } from './run-here.ts';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

const KEY_LINE = 'skein-ed25519 tQ9z8ne/Y+bZHjZP31mdNW2USR3t63YkiVyJhMWQZAY= far';

async function init(dir: TempDir, ...args: string[]) {
  return skein(dir.path, ['init', 'here', '--yes', '--port', '0', '--brain', 'intents', '--json', ...args]);
}

test('init writes a commented config that loads, and a key only its owner can read', async () => {
  using dir = new TempDir();
  const { code, lines } = await init(dir, '--share-tools');
  expect(code).toBe(0);
  expect(lines[0]).toMatchObject({ type: 'initialised', name: 'here', madeKey: true });
  const config = readFileSync(path.join(dir.path, 'skein.config.json'), 'utf8');
  expect(config).toContain('"name": "here"');
  expect(config).toMatch(/^\s*\/\/ /m);
  expect(statSync(path.join(dir.path, '.skein/key')).mode & 0o777).toBe(0o600);
  expect((await skein(dir.path, ['net', 'status', '--json'])).lines[0]).toMatchObject({ name: 'here', running: false });
});

test('init does not write over a config without --force, and never over a key', async () => {
  using dir = new TempDir();
  await init(dir);
  const key = readFileSync(path.join(dir.path, '.skein/key'), 'utf8');
  const again = await skein(dir.path, ['init', 'other', '--yes', '--json']);
  expect(again.code).toBe(1);
  expect(again.lines).toEqual([{ type: 'error', code: 'conflict', message: expect.stringContaining('--force') }]);
  const forced = await skein(dir.path, ['init', 'other', '--yes', '--force', '--json']);
  expect(forced.lines[0]).toMatchObject({ name: 'other', madeKey: false });
  expect(readFileSync(path.join(dir.path, '.skein/key'), 'utf8')).toBe(key);
});

test('net init makes the key, says the line that show-key says, and keeps both when run again', async () => {
  using dir = new TempDir();
  const made = await skein(dir.path, ['net', 'init', 'here', '--json']);
  expect(made.lines[0]).toMatchObject({ type: 'key', madeKey: true, name: 'here' });
  expect((await skein(dir.path, ['net', 'show-key'])).stdout).toBe(`${String(made.lines[0]?.line)}\n`);
  const again = await skein(dir.path, ['net', 'init', 'here', '--json']);
  expect(again.lines[0]).toEqual({ ...made.lines[0], madeKey: false });
  expect((await skein(dir.path, ['net', 'init', 'elsewhere', '--json'])).lines[0]).toMatchObject({ code: 'conflict' });
});

test('trust and revoke change the trust file, by key line and by name', async () => {
  using dir = await createNode('here');
  const trusted = await skein(dir.path, ['net', 'trust', KEY_LINE, '--level', 'tool', '--allow', 'read_*,df', '--json']);
  expect(trusted.lines[0]).toMatchObject({ type: 'trusted', name: 'far', trust: 'tool', allowTools: ['read_*', 'df'] });
  const file = path.join(dir.path, '.skein/authorized_peers');
  expect(readFileSync(file, 'utf8')).toContain(`${KEY_LINE} trust=tool,allow=read_*;df`);
  const revoked = await skein(dir.path, ['net', 'revoke', 'far', '--json']);
  expect(revoked.lines[0]).toMatchObject({ type: 'revoked', revoked: true });
  expect(readFileSync(file, 'utf8')).toMatch(/revoked/);
  expect((await skein(dir.path, ['net', 'revoke', 'nobody', '--json'])).lines[0]).toMatchObject({ code: 'not-found' });
});

test('revoke says which keys took the place of the one that is revoked, and what became of them', async () => {
  using dir = await createNode('here');
  const file = path.join(dir.path, '.skein/authorized_peers');
  const next = 'skein-ed25519 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= far';
  const { id, fingerprint } = (await skein(dir.path, ['net', 'trust', next, '--json'])).lines[0] ?? {};
  const replaced = (options: string) =>
    writeFileSync(file, `${KEY_LINE} ${options}revoked,successor=${id}\n${next} trust=tool\n`, { mode: 0o600 });
  replaced('');
  const { stdout } = await skein(dir.path, ['net', 'revoke', KEY_LINE]);
  expect(stdout).toMatch(/^far is not trusted any more \(.*\)\nIt had been replaced by far, which is revoked too \(.*\)\n$/);
  expect(stdout).toContain(String(fingerprint));
  replaced('');
  const { lines } = await skein(dir.path, ['net', 'revoke', KEY_LINE, '--share', '--json']);
  expect(lines[0]).toMatchObject({ type: 'revoked', alsoRevoked: [{ id, revoked: true, shared: true }], stillTrusted: null });
  // One that its root has put there stays, and whoever knows that root as a thief's is told what to do.
  replaced('root=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=,');
  const kept = await skein(dir.path, ['net', 'revoke', KEY_LINE]);
  expect(kept.stdout).toMatch(/has replaced it by far, which stays trusted/);
  expect(kept.stdout).toContain(`skein net revoke ${String(id)}`);
});

test('a key under a name that is taken is trusted under another, and a key of its own not at all, the one before included', async () => {
  using dir = await createNode('here');
  await skein(dir.path, ['net', 'trust', KEY_LINE]);
  const other = 'skein-ed25519 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= far';
  const { lines } = await skein(dir.path, ['net', 'trust', other, '--level', 'read', '--json']);
  expect(lines[0]).toMatchObject({ type: 'trusted', name: expect.stringMatching(/^[a-z2-7]{4}-far$/), givenName: 'far' });
  const own = (await skein(dir.path, ['net', 'show-key', '--json'])).lines[0]?.line;
  await skein(dir.path, ['net', 'rotate-key']);
  const present = (await skein(dir.path, ['net', 'show-key', '--json'])).lines[0]?.line;
  for (const line of [own, present]) {
    const refused = await skein(dir.path, ['net', 'trust', String(line), '--json']);
    expect(refused.lines[0]).toMatchObject({ type: 'error', code: 'invalid', message: expect.stringContaining('own') });
  }
});

test('a key that is missing beside what its node has kept is not replaced, unless somebody says so', async () => {
  using dir = await createNode('here');
  const key = path.join(dir.path, '.skein/key');
  const { lines } = await skein(dir.path, ['net', 'status', '--json']);
  renameSync(key, `${key}.away`);
  for (const command of [['net', 'status'], ['start'], ['net', 'init', 'here'], ['join', 'skein1x'], ['invite']]) {
    const refused = await skein(dir.path, [...command, '--json']);
    expect(refused.code, command.join(' ')).toBe(1);
    if (command[0] !== 'join') {
      expect(refused.lines.at(-1)).toMatchObject({ code: 'corrupt', message: expect.stringContaining('--new-key') });
    }
  }
  expect(existsSync(key)).toBe(false);
  renameSync(`${key}.away`, key);
  expect((await skein(dir.path, ['net', 'status', '--json'])).lines[0]).toMatchObject({ peerId: lines[0]?.peerId });
  renameSync(key, `${key}.away`);
  const anew = await skein(dir.path, ['net', 'init', 'here', '--new-key', '--json']);
  expect(anew.lines[0]).toMatchObject({ type: 'key', madeKey: true });
  expect((await skein(dir.path, ['net', 'status', '--json'])).lines[0]).toMatchObject({ peerId: anew.lines[0]?.peerId });
});

test('while the config has an error trust can be taken back, and a node that runs be asked', async () => {
  using dir = await createNode('here');
  await skein(dir.path, ['net', 'trust', KEY_LINE]);
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  await node.line(({ type }) => type === 'ready');
  const config = path.join(dir.path, 'skein.config.json');
  writeFileSync(config, `${readFileSync(config, 'utf8').replace(/}\s*$/, '')} "nett": {`);
  const revoked = await skein(dir.path, ['net', 'revoke', 'far', '--json']);
  expect(revoked.lines.at(-1)).toMatchObject({ type: 'revoked', name: 'far' });
  const asked = await skein(dir.path, ['ask', 'what time is it?', '--json']);
  expect(asked.lines.at(-1)).toMatchObject({ type: 'answer' });
  expect((await skein(dir.path, ['net', 'peers', '--json'])).code).toBe(0);
  expect((await skein(dir.path, ['page', '--json'])).lines.at(-1)).toMatchObject({ type: 'page' });
  node.child.kill('SIGTERM');
  await node.result();
  expect((await skein(dir.path, ['ask', 'what time is it?', '--json'])).lines.at(-1)).toMatchObject({ type: 'error' });
});

test('trust without a level gives the least, and says so', async () => {
  using dir = await createNode('here');
  expect((await skein(dir.path, ['net', 'trust', KEY_LINE])).stdout).toMatch(/call no tools; for that: --level tool/);
});

test('start --json says ready with exactly its fields, and SIGTERM ends it soon, with code 0', async () => {
  using dir = await createNode('here');
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  const ready = await node.line(({ type }) => type === 'ready');
  expect(Object.keys(ready)).toEqual(['type', 'name', 'peerId', 'port', 'page']);
  expect(ready).toMatchObject({ name: 'here', page: `http://127.0.0.1:${String(ready.port)}/` });
  expect((await skein(dir.path, ['net', 'status', '--json'])).lines[0]).toMatchObject({ running: true, port: ready.port });
  const stoppedMs = performance.now();
  node.child.kill('SIGTERM');
  expect(await node.result()).toMatchObject({ code: 0 });
  expect(performance.now() - stoppedMs).toBeLessThan(10_000);
});

test('start without a terminal does not print the token of the page', async () => {
  using dir = await createNode('here');
  await using node = new SkeinProcess(['start'], { cwd: dir.path });
  await node.said(/page\s+http/);
  node.child.kill('SIGINT');
  const { code, stdout } = await node.result();
  expect(code).toBe(0);
  expect(stdout).not.toContain('token');
});

test('start --exit-with-parent ends when its input closes, and not by Ctrl-C', async () => {
  using dir = await createNode('here');
  await using node = new SkeinProcess(['start', '--json', '--exit-with-parent'], { cwd: dir.path, input: 'open' });
  await node.line(({ type }) => type === 'ready');
  node.child.kill('SIGINT');
  expect((await skein(dir.path, ['net', 'status', '--json'])).lines[0]).toMatchObject({ running: true });
  node.child.stdin?.end();
  expect(await node.result()).toMatchObject({ code: 0 });
});

test('a port in use is named, with what to do', async () => {
  using dir = await createNode('here');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    writeFileSync(path.join(dir.path, 'skein.config.json'), JSON.stringify({ net: { host: '127.0.0.1', port } }));
    const { code, lines } = await skein(dir.path, ['start', '--json']);
    expect(code).toBe(1);
    expect(lines).toEqual([{ type: 'error', code: 'conflict', message: expect.stringMatching(new RegExp(`${port}.*--port`)) }]);
    const doctor = await skein(dir.path, ['doctor', '--json']);
    expect(doctor.code).toBe(1);
    expect(doctor.lines.find(({ name }) => name === 'port')).toMatchObject({ state: 'fail' });
  } finally {
    taken.close();
  }
});

test('ask streams events and ends with the answer, by a running node and without one', async () => {
  using dir = await createNode('here');
  const ask = ['ask', 'how', 'much', 'memory', 'is', 'free?', '--json'];
  const alone = await skein(dir.path, ask);
  expect(alone.code).toBe(0);
  expect(alone.lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ name: 'system_info', peer: null, ok: true }] });
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  await node.line(({ type }) => type === 'ready');
  const { lines } = await skein(dir.path, ask);
  expect(lines.slice(0, 2)).toMatchObject([{ type: 'task-accepted' }, { type: 'turn-start' }]);
  expect(lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ name: 'system_info', peer: null, ok: true }] });
});

test('a running node without its API is named, with what to do', async () => {
  using dir = await createNode('here');
  writeFileSync(path.join(dir.path, 'skein.config.json'), JSON.stringify({ net: { port: 0 }, page: { enabled: false } }));
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  expect(await node.line(({ type }) => type === 'ready')).toMatchObject({ page: null });
  const { lines } = await skein(dir.path, ['tools', '--json']);
  expect(lines).toEqual([{ type: 'error', code: 'unsupported', message: expect.stringContaining('page.enabled') }]);
});

test('a node without a brain refuses to be asked: an error line, nothing else, and exit code 1', async () => {
  using dir = new TempDir();
  await skein(dir.path, ['init', 'here', '--yes', '--port', '0', '--brain', 'none']);
  const { code, lines } = await skein(dir.path, ['ask', 'hello', '--json']);
  expect({ code, lines }).toEqual({ code: 1, lines: [{ type: 'error', code: 'unsupported', message: expect.any(String) }] });
});

test('a tool that changes something is not run where nobody can be asked, and is with --yes', async () => {
  using dir = await createNode('here');
  const file = path.join(dir.path, 'skein.config.json');
  writeFileSync(
    file,
    JSON.stringify({ name: 'here', net: { port: 0 }, brain: { provider: 'intents' }, agent: { confirmBeforeAct: true } }),
  );
  const remember = ['ask', 'remember that the door is green', '--json'];
  const refused = await skein(dir.path, remember);
  expect(refused.lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ name: 'memory_write', ok: false }] });
  const done = await skein(dir.path, [...remember, '--yes']);
  expect(done.lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ name: 'memory_write', ok: true }] });
});

test('call prints the output, and refuses input that is not an object', async () => {
  using dir = await createNode('here');
  const { lines } = await skein(dir.path, ['call', 'list_files', '{}', '--json']);
  expect(lines.at(-1)).toMatchObject({ type: 'result', name: 'list_files' });
  for (const input of ['{', '[]', '7']) {
    const { code, lines: refused } = await skein(dir.path, ['call', 'list_files', input, '--json']);
    expect({ code, refused }).toEqual({ code: 1, refused: [{ type: 'error', code: 'invalid', message: expect.any(String) }] });
  }
});

test('chat takes lines from a pipe, in order, to the end of the input', async () => {
  using dir = await createNode('here');
  const { code, stdout } = await skein(dir.path, ['chat'], 'how much memory is free?\n/nonsense\n/help\n/tools\n');
  expect(code).toBe(0);
  const places = ['✓ system_info', 'There is no /nonsense', '/sessions', 'shell_exec'].map((words) => stdout.indexOf(words));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places).not.toContain(-1);
});

test('doctor finds a key that others can read, a config that does not load and a broken trust file', async () => {
  using dir = await createNode('here');
  expect((await skein(dir.path, ['doctor', '--json'])).code).toBe(0);
  chmodSync(path.join(dir.path, '.skein/key'), 0o644);
  writeFileSync(path.join(dir.path, '.skein/authorized_peers'), 'nonsense\n', { mode: 0o600 });
  const sick = await skein(dir.path, ['doctor', '--json']);
  expect(sick.code).toBe(1);
  expect(sick.lines.find(({ name }) => name === 'key')).toMatchObject({
    state: 'fail',
    text: expect.stringContaining('chmod 600'),
  });
  expect(sick.lines.find(({ name }) => name === 'trust')).toMatchObject({
    state: 'fail',
    text: expect.stringContaining('Line 1'),
  });
  writeFileSync(path.join(dir.path, 'skein.config.json'), '{ "nme": "x" }');
  const worse = await skein(dir.path, ['doctor', '--json']);
  expect(worse.lines.find(({ name }) => name === 'config')).toMatchObject({
    state: 'fail',
    text: expect.stringContaining('"name"'),
  });
});

test('an address without a scheme is dialled with ws://, and one that is none is refused', async () => {
  using dir = await createNode('here');
  const trusted = await skein(dir.path, ['net', 'trust', KEY_LINE, '--url', '192.0.2.7:9700', '--json']);
  expect(trusted.lines[0]).toMatchObject({ type: 'trusted', url: 'ws://192.0.2.7:9700' });
  expect((await skein(dir.path, ['net', 'trust', KEY_LINE, '--url', 'ftp://x'])).code).toBe(2);
});

test('a call to a peer that is unknown or away says so, and not that the tool is missing', async () => {
  using dir = await createNode('here');
  await skein(dir.path, ['net', 'trust', KEY_LINE]);
  const unknown = await skein(dir.path, ['call', 'fra/system_info', '--json']);
  expect(unknown.lines.at(-1)).toMatchObject({ code: 'not-found', message: 'There is no peer "fra"; did you mean "far"?' });
  const away = await skein(dir.path, ['call', 'far/system_info', '--json']);
  expect(away.lines.at(-1)).toMatchObject({ code: 'unavailable', message: expect.stringMatching(/^far is not connected/) });
});

test('input a tool does not take is told in one line with what it takes', async () => {
  using dir = await createNode('here');
  const { stderr } = await skein(dir.path, ['call', 'shell_exec', '{"cmd":"df"}']);
  expect(stderr).toMatch(/^error: shell_exec: .*"cmd"; it takes command, argv, .*\n$/);
});

test('chat --json answers its own commands with JSON too, and refuses a conversation that is not there', async () => {
  using dir = await createNode('here');
  await skein(dir.path, ['net', 'trust', KEY_LINE]);
  const { stdout, lines } = await skein(dir.path, ['chat', '--json'], '/peers\n/tols\n/session nowhere\n/new\n');
  expect(stdout.trim().split('\n')).toHaveLength(lines.length);
  expect(lines).toMatchObject([
    { type: 'peer', name: 'far', state: 'disconnected' },
    { type: 'error', message: expect.stringContaining('/tools') },
    { type: 'error', code: 'not-found', message: expect.stringContaining('nowhere') },
    { type: 'session' },
  ]);
});

test('doctor names a plug-in that does not load, once', async () => {
  using dir = await createNode('here');
  mkdirSync(path.join(dir.path, '.skein/tools'));
  writeFileSync(path.join(dir.path, '.skein/tools/bad.ts'), 'export const x = 1;\n');
  const { code, lines } = await skein(dir.path, ['doctor', '--json']);
  expect(code).toBe(1);
  expect(lines.filter(({ state }) => state === 'fail')).toMatchObject([
    { name: 'tools', text: expect.stringContaining('bad.ts') },
  ]);
});

test('tasks says what was asked, with its steps and how it ended, and takes up one that did not end well', async () => {
  using dir = await createNode('here');
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  await node.line(({ type }) => type === 'ready');
  expect((await skein(dir.path, ['tasks'])).stdout).toContain('No tasks yet');
  expect((await skein(dir.path, ['ask', 'how much memory is free?'])).code).toBe(0);
  const [task] = (await skein(dir.path, ['tasks', 'list', '--json'])).lines;
  expect(task).toMatchObject({ type: 'task', state: 'done', title: 'how much memory is free?', origin: null, owner: null });
  const id = String(task?.id);
  expect((await skein(dir.path, ['tasks', 'show', id.slice(0, 8)])).stdout).toMatch(/calls system_info[\s\S]*system_info gave/);
  const again = await skein(dir.path, ['tasks', 'retry', id]);
  expect(again.code).not.toBe(0);
  expect(again.stderr).toMatch(/done/);
  expect((await skein(dir.path, ['tasks', 'cancel', id])).stdout).toContain('is done');
  expect((await skein(dir.path, ['tasks', 'show', 'zz'])).stderr).toMatch(/"zz" is not the id of a task/);
});
