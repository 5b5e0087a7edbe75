import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { environmentVariables } from '@skein/host';
import { expect, test } from 'vitest';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

const COMMANDS = ['demo', 'init', 'start', 'ask', 'chat', 'call', 'tools', 'tasks', 'invite', 'join', 'net', 'doctor'];
const NET = ['init', 'show-key', 'trust', 'revoke', 'peers', 'status', 'send', 'messages'];

test('--help names every command, on the standard output, with exit code 0', async () => {
  using dir = new TempDir();
  const { code, stdout, stderr } = await skein(dir.path, ['--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
});

test.each([...COMMANDS, ...NET.map((name) => `net ${name}`)])('skein %s has its own help with an example', async (command) => {
  using dir = new TempDir();
  const words = command.split(' ');
  const { code, stdout } = await skein(dir.path, [...words, '--help']);
  expect(code).toBe(0);
  expect(stdout).toContain(`  $ skein ${command}`);
  expect(stdout).toContain('--json');
});

test.each([
  [['help'], 'Usage: skein [options]'],
  [['help', 'net'], 'Usage: skein net'],
  [['help', 'net', 'trust'], 'Usage: skein net trust'],
])('%j is --help', async (args, usage) => {
  using dir = new TempDir();
  const { code, stdout } = await skein(dir.path, args);
  expect(code).toBe(0);
  expect(stdout).toContain(usage);
});

test('skein start --help lists every variable, and what each stands for', async () => {
  using dir = new TempDir();
  const { stdout } = await skein(dir.path, ['start', '--help']);
  const listed = [...stdout.matchAll(/^ {2}(SKEIN_\w+) +(\S.*)$/gm)].map(([, name, path]) => ({ name, path }));
  expect(listed).toEqual(environmentVariables().map(({ name, path }) => ({ name, path: path ?? 'another config file' })));
});

test('--version is the version and nothing else', async () => {
  using dir = new TempDir();
  expect((await skein(dir.path, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [['strat'], 'the nearest is "start"'],
  [['net', 'trsut'], 'the nearest is "trust"'],
  [['tasks', 'cancle', '0f3c'], 'the nearest is "cancel"'],
  [['tasks', 'list', 'all'], "Too many arguments for 'list'"],
  [['start', '--prot', '1'], 'the nearest is "--port"'],
  [['net', 'peers', '--jsn'], 'the nearest is "--json"'],
  [['frobnicate'], 'There is no command "frobnicate". There are: demo'],
  [['start', '--bogus'], 'There is no option "--bogus". There are: --port'],
  [['start', '--port', '70000'], 'expected a port, 0 to 65535'],
  [['invite', '--ttl', 'soon'], 'such as 10m'],
  [['invite', '--ttl', '0s'], 'a number above 0'],
  [['join'], "Missing required argument 'code'"],
])('a wrong command line %j says what is nearest or expected, with exit code 2', async (args, words) => {
  using dir = new TempDir();
  const { code, stdout, stderr } = await skein(dir.path, args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(words);
  expect(stderr).toMatch(/^error: /);
  expect(stderr).not.toMatch(/\n\s+at /);
});

test.each([[['ask', '']], [['ask', ' ', ' ']], [['demo', '--once', '']]])('%j asks nothing, and says so', async (args) => {
  using dir = new TempDir();
  const { code, stderr } = await skein(dir.path, args);
  expect({ code, stderr }).toEqual({ code: 1, stderr: 'error: There is nothing to ask\n' });
  expect(existsSync(path.join(dir.path, '.skein'))).toBe(false);
});

test('what to run is told as it is typed: by npx where npm ran it, with the options that say which node', async () => {
  using dir = new TempDir();
  const node = path.join(dir.path, 'node');
  mkdirSync(node);
  const env = { npm_command: 'exec' };
  await using init = new SkeinProcess(['-C', 'node', 'init', 'mine', '--yes', '--port', '0'], { cwd: dir.path, env });
  expect((await init.result()).stdout).toContain('Next: npx skein -C node start, and npx skein -C node invite to');
  await using show = new SkeinProcess(['net', 'show-key'], { cwd: dir.path, env });
  expect((await show.result()).stderr).toContain('npx skein net init');
  await using help = new SkeinProcess(['ask', '--help'], { cwd: dir.path, env });
  expect((await help.result()).stdout).toContain('$ npx skein ask "');
});

test('with --json the error is one object on the standard output', async () => {
  using dir = new TempDir();
  const { code, lines, stderr } = await skein(dir.path, ['--json', 'strat']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
  expect(lines).toEqual([{ type: 'error', code: 'invalid', message: expect.stringContaining('"start"') }]);
});

test('without a command the help goes to the error stream, with exit code 2', async () => {
  using dir = new TempDir();
  const { code, stdout, stderr } = await skein(dir.path, []);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('Usage: skein');
});

test('an error shows where it comes from with --verbose only', async () => {
  using dir = new TempDir();
  const args = ['net', 'show-key'];
  const short = await skein(dir.path, args);
  expect(short.code).toBe(1);
  expect(short.stderr).toMatch(/^error: There is no key file .*skein net init/);
  expect(short.stderr).not.toMatch(/\n\s+at /);
  expect((await skein(dir.path, [...args, '--verbose'])).stderr).toMatch(/\n\s+at /);
});

test('without a command a program that asked for JSON gets its line all the same', async () => {
  using dir = new TempDir();
  for (const args of [['--json'], ['net', '--json']]) {
    const { code, lines } = await skein(dir.path, args);
    expect({ code, lines }).toEqual({ code: 2, lines: [{ type: 'error', code: 'invalid', message: expect.any(String) }] });
  }
});

test('a command of a group is found when the group was left out', async () => {
  using dir = new TempDir();
  expect((await skein(dir.path, ['status'])).stderr).toContain('the nearest is "net status"');
});

test('a mistyped --dir is an error and makes no folder', async () => {
  using dir = new TempDir();
  const nowhere = path.join(dir.path, 'nowhere');
  const { code, lines } = await skein(dir.path, ['--dir', nowhere, 'tools', '--json']);
  expect({ code, lines }).toMatchObject({ code: 1, lines: [{ type: 'error', code: 'not-found' }] });
  expect(existsSync(nowhere)).toBe(false);
});

test('a path that cannot be used is told with its name, and not as a fault of Skein', async () => {
  using dir = new TempDir();
  const file = path.join(dir.path, 'file');
  writeFileSync(file, '');
  const { code, stderr } = await skein(dir.path, ['--data-dir', path.join(file, 'data'), 'start', '--port', '0']);
  expect(code).toBe(1);
  expect(stderr).toContain(`${path.join(file, 'data')}: a part of this path is a file`);
  expect(stderr).not.toContain('fault of Skein');
});

test('a mistyped provider names the nearest, and that it came from the command line', async () => {
  using dir = new TempDir();
  await skein(dir.path, ['init', '--yes']);
  const { stderr } = await skein(dir.path, ['start', '--brain', 'opneai']);
  expect(stderr).toBe('error: command line: brain.provider: no such value "opneai"; did you mean "openai"?\n');
});
