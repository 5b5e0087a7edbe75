import { expect, test } from 'vitest';
import { skein, TempDir } from './skein-process.ts';

const COMMANDS = ['demo', 'init', 'start', 'ask', 'chat', 'call', 'tools', 'invite', 'join', 'net', 'doctor'];
const NET = ['init', 'show-key', 'trust', 'revoke', 'peers', 'status'];

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

test('--version is the version and nothing else', async () => {
  using dir = new TempDir();
  expect((await skein(dir.path, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [['strat'], 'the nearest is "start"'],
  [['net', 'trsut'], 'the nearest is "trust"'],
  [['start', '--prot', '1'], 'the nearest is "--port"'],
  [['net', 'peers', '--jsn'], 'the nearest is "--json"'],
  [['start', '--port', '70000'], 'expected a port, 0 to 65535'],
  [['invite', '--ttl', 'soon'], 'such as 10m'],
  [['join'], "Missing required argument 'code'"],
])('a wrong command line %j says what is nearest or expected, with exit code 2', async (args, words) => {
  using dir = new TempDir();
  const { code, stdout, stderr } = await skein(dir.path, args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(words);
  expect(stderr).toMatch(/^error: /);
  expect(stderr).not.toMatch(/\n\s+at /);
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
