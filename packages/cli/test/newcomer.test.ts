import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { withTypedCommand } from '../src/typed-command.ts';
import { noOrdinaryUser, OrdinaryUser } from './ordinary-user.ts';
import { createNode } from './run-here.ts';
import { noTerminal, SkeinProcess, SkeinTerminal, skein, TempDir } from './skein-process.ts';

const ENTER = '\r';
const CTRL_C = '\u0003';

function edit(dir: TempDir, change: (text: string) => string): void {
  const file = path.join(dir.path, 'skein.config.json');
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

function check(lines: readonly Readonly<Record<string, unknown>>[], name: string): Readonly<Record<string, unknown>> {
  return lines.find((line) => line.name === name) ?? {};
}

test('every command is told as it is typed', async () => {
  using dir = new TempDir();
  const { stdout } = await skein(dir.path, ['--help']);
  const [, list = ''] = stdout.split('\nCommands:\n');
  const names = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(12);
  for (const name of names) expect(withTypedCommand(`skein ${name}`, 'npx skein')).toBe(`npx skein ${name}`);
});

describe('the doctor', () => {
  test('of an empty folder finds nothing wrong, and makes nothing', async () => {
    using dir = new TempDir();
    const { code, lines } = await skein(dir.path, ['doctor', '--json']);
    expect(code, JSON.stringify(lines)).toBe(0);
    expect(check(lines, 'data directory')).toMatchObject({ state: 'ok', text: expect.stringContaining('will be made') });
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('names a file in the folder of plug-ins that is no plug-in, and so does the start', async () => {
    using dir = await createNode('alpha');
    mkdirSync(path.join(dir.path, '.skein/tools'));
    writeFileSync(path.join(dir.path, '.skein/tools/dice.js'), '');
    writeFileSync(path.join(dir.path, '.skein/tools/types.d.ts'), '');
    const { lines } = await skein(dir.path, ['doctor', '--json']);
    expect(check(lines, 'tools')).toMatchObject({ state: 'warn', text: expect.stringMatching(/^\S+dice\.js: not loaded/) });
    await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
    await node.said(/dice\.js.*not loaded/);
  });

  test.skipIf(noOrdinaryUser !== null)('tells an ordinary user of a folder that is not theirs to write', async () => {
    using user = new OrdinaryUser();
    using dir = new TempDir();
    chmodSync(dir.path, 0o555);
    await using doctor = new SkeinProcess(['doctor', '--json'], { cwd: dir.path, wrap: user.run });
    const { lines } = await doctor.result();
    expect(check(lines, 'data directory')).toMatchObject({
      state: 'fail',
      text: `this user cannot write in ${dir.path}`,
      fix: expect.stringContaining('--data-dir'),
    });
    expect(check(lines, 'peers')).toMatchObject({ state: 'warn', text: 'not looked at' });
    // The same of a node that was theirs, and whose folder is closed now.
    const home = path.join(dir.path, 'home');
    chmodSync(dir.path, 0o755);
    mkdirSync(home);
    user.owns(home);
    const init = new SkeinProcess(['init', 'mine', '--yes', '--port', '0', '--brain', 'intents'], {
      cwd: home,
      wrap: user.run,
    });
    await init.result();
    await using first = new SkeinProcess(['net', 'status'], { cwd: home, wrap: user.run });
    await first.result();
    chmodSync(path.join(home, '.skein'), 0o555);
    await using ask = new SkeinProcess(['ask', 'how much memory is free?', '--json'], { cwd: home, wrap: user.run });
    const { stdout } = await ask.result();
    expect(stdout).toMatch(/right to (read and )?write|may not use it/);
    expect(stdout).not.toContain('repair the disk');
  });
});

describe('an invitation', () => {
  test('of a node that only its machine reaches says so, and what to do', async () => {
    using dir = await createNode('alpha');
    edit(dir, (text) => text.replace('// "host": "0.0.0.0"', '"host": "127.0.0.1"'));
    await using invite = new SkeinProcess(['invite'], { cwd: dir.path });
    await invite.said(/Only this machine reaches it there: set net\.host .* --address/);
    await using told = new SkeinProcess(['invite', '--json', '--address', '127.0.0.1:1'], { cwd: dir.path });
    expect(await told.line(({ type }) => type === 'invite')).toMatchObject({ onlyHere: false });
  });

  test('has the address where the node listens that runs, whatever the file says by now', async () => {
    using dir = await createNode('alpha');
    edit(dir, (text) => text.replace('// "host": "0.0.0.0"', '"host": "127.0.0.1"'));
    await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
    const { port } = await node.line(({ type }) => type === 'ready');
    edit(dir, (text) => text.replace('"host": "127.0.0.1"', '"host": "192.0.2.7"'));
    const { lines } = await skein(dir.path, ['invite', '--json']);
    expect(lines[0]).toMatchObject({ addresses: [`127.0.0.1:${String(port)}`], onlyHere: true });
  });

  test('for too long is refused in days, and the help names its time in words', async () => {
    using dir = await createNode('alpha');
    expect((await skein(dir.path, ['invite', '--ttl', '99d'])).stderr).toContain('good for up to 7 days, not 99 d');
    expect((await skein(dir.path, ['invite', '--help'])).stdout).not.toContain('600000');
  });

  test('ends its countdown before it says who came', async () => {
    using alpha = await createNode('alpha');
    using beta = await createNode('beta');
    await using inviting = new SkeinTerminal(['invite'], { cwd: alpha.path });
    const [, code = ''] = await inviting.said(/skein join (skein1\w+)/);
    expect((await skein(beta.path, ['join', code, '--yes'])).code).toBe(0);
    const { stdout } = await inviting.result();
    // The line that counts is taken off the terminal, and the result has one of its own.
    const before = stdout.slice(0, stdout.indexOf('beta has joined'));
    expect(before.slice(before.lastIndexOf('takes the invitation back'))).toContain('\r\u001b[K');
  });
});

test.skipIf(noTerminal !== null)('on a terminal a changed config does not bring the log onto it', async () => {
  using dir = await createNode('alpha');
  await using node = new SkeinTerminal(['start'], { cwd: dir.path });
  await node.said(/alpha.* is up on port/);
  for (const maxQueuedTasks of [11, 12]) {
    const line = /\/\/ "maxQueuedTasks": \d+|"maxQueuedTasks": \d+/;
    edit(dir, (text) => text.replace(line, `"maxQueuedTasks": ${maxQueuedTasks}`));
    await node.said(maxQueuedTasks === 11 ? /the config was read again/ : /(the config was read again[\s\S]*){2}/);
  }
  node.type(CTRL_C);
  expect((await node.result()).stdout).not.toContain('"level":');
});

test('what was asked is in no log', async () => {
  using dir = await createNode('alpha');
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  await node.line(({ type }) => type === 'ready');
  await skein(dir.path, ['ask', 'how much memory is free on hunter2?']);
  await node.line(({ type, title }) => type === 'task-ended' && String(title).includes('hunter2'));
  await node.said(/"type":"task-ended"[^\n]*"msg":"node event"/);
  expect(node.stderr).not.toContain('hunter2');
});

test.skipIf(noTerminal !== null)(
  'the demo does not tell of a task whose answer stands there',
  { timeout: 60_000 },
  async () => {
    using dir = new TempDir();
    await using demo = new SkeinTerminal(['demo', '--brain', 'intents'], { cwd: dir.path });
    await demo.said(/page\s+http/);
    demo.type(`how much memory is free on us-monitor?${ENTER}`);
    await demo.said(/✓.*us-monitor/);
    // Of another's there is word: what came before it would have been told by then.
    const coordinator = path.join(dir.path, '.skein/demo/coordinator');
    await skein(dir.path, ['-C', coordinator, 'ask', 'how full is the disk on eu-monitor?']);
    await demo.said(/ended done: how full is the disk/);
    demo.type(CTRL_C);
    expect((await demo.result()).stdout).not.toMatch(/ended done: how much memory/);
  },
);

test('the command a demo without a terminal prints answers when it is pasted', { timeout: 60_000 }, async () => {
  using dir = new TempDir();
  await using demo = new SkeinProcess(['demo', '--brain', 'intents'], { cwd: dir.path, env: { npm_command: 'start' } });
  const [, command = ''] = await demo.said(/To ask: (npx skein .*) "…"/);
  expect(command).toBe('npx skein -C .skein/demo/coordinator ask');
  const [, , ...args] = command.split(' ');
  const { code, lines } = await skein(dir.path, [...args, 'how much memory is free on us-monitor?', '--json']);
  expect({ code, last: lines.at(-1) }).toMatchObject({
    code: 0,
    last: { type: 'answer', toolCalls: [{ peer: 'us-monitor' }] },
  });
});

test('the launcher is found through a link to it, in any folder', async () => {
  using dir = new TempDir();
  const bin = path.join(dir.path, 'bin');
  mkdirSync(bin);
  const launcher = fileURLToPath(new URL('../bin/skein.mjs', import.meta.url));
  execFileSync('/bin/ln', ['-s', launcher, path.join(bin, 'skein')]);
  const env = { PATH: `${bin}:${path.dirname(process.execPath)}:/usr/bin:/bin` };
  const told = execFileSync(path.join(bin, 'skein'), ['init', 'mine', '--yes'], { cwd: dir.path, env }).toString();
  expect(told).toContain('Next: skein start');
  expect(existsSync(path.join(dir.path, 'skein.config.json'))).toBe(true);
});
