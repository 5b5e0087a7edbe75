import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SkeinError } from '@skein/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeConfig } from './describe-config.ts';
import { CONFIG_FILE, type LoadOptions, loadConfig } from './load-config.ts';
import type { ConfigInput } from './schema.ts';

function folder(text?: string) {
  const cwd = mkdtempSync(path.join(os.tmpdir(), 'skein-config-'));
  if (text !== undefined) writeFileSync(path.join(cwd, CONFIG_FILE), text);
  return { cwd, [Symbol.dispose]: () => rmSync(cwd, { recursive: true, force: true }) };
}

function errorOf(options: LoadOptions): SkeinError {
  try {
    loadConfig({ env: {}, ...options });
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
  throw new Error('the config was accepted');
}

function problemsOf(text: string): string {
  using place = folder(text);
  return errorOf({ cwd: place.cwd }).message;
}

test('without a file the defaults hold, with absolute paths', () => {
  using place = folder();
  const { config, file } = loadConfig({ cwd: place.cwd, env: {} });
  expect(file).toBeNull();
  expect(config.dataDir).toBe(path.join(place.cwd, '.skein'));
  expect(config.net.keyPath).toBe(path.join(place.cwd, '.skein', 'key'));
  expect(config.net.share.tools).toBe(false);
  expect(config.brain).toBeUndefined();
  expect(config.name).toMatch(/^[a-zA-Z0-9]/);
});

test('comments and trailing commas are read', () => {
  using place = folder('// one\n{ /* two */ "name": "a", "net": { "port": 0, }, }');
  const { config } = loadConfig({ cwd: place.cwd, env: {} });
  expect([config.name, config.net.port]).toEqual(['a', 0]);
});

test('a file that is not JSON is refused with its name, line and column', () => {
  using place = folder('{\n  "name": "a"\n  "net": {}\n}');
  const error = errorOf({ cwd: place.cwd });
  expect(error.code).toBe('corrupt');
  expect(error.message).toMatch(/^skein\.config\.json:3:3: /);
});

test.each(['', '{', '{ "name": "a" ', '[1', 'nonsense', '\u0000', '{"a":1}}'])('the damaged file %j is refused', (text) => {
  expect(problemsOf(text)).toMatch(/^skein\.config\.json:\d+:\d+: /);
});

test.each(['null', '[]', '7', '"x"', 'true'])('a file that holds %s is no config, not an empty one', (text) => {
  expect(problemsOf(text)).toBe('skein.config.json:1:1: a config is one object, { … }');
});

test.each([
  ['arrays', '['.repeat(5_000)],
  ['arrays that end', `{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`],
  ['objects', '{"a":'.repeat(200_000)],
  ['both, with comments', '{"a":[ // [\n'.repeat(5_000)],
])('a file of thousands of levels of %s is refused with the place of the first too many', (_of, text) => {
  using place = folder(text);
  const error = errorOf({ cwd: place.cwd });
  expect(error.code).toBe('invalid');
  expect(error.message).toMatch(/^skein\.config\.json:\d+:\d+: nested deeper than 64 levels/);
});

test('no text whatever makes it throw anything but a SkeinError', () => {
  using place = folder();
  const file = path.join(place.cwd, CONFIG_FILE);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.json(),
        fc.json().map((text) => text.slice(0, -1)),
      ),
      (text) => {
        writeFileSync(file, text);
        try {
          loadConfig({ cwd: place.cwd, env: {} });
        } catch (error) {
          expect(error).toBeInstanceOf(SkeinError);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('an unknown key is refused with its place and the nearest known key', () => {
  expect(problemsOf('{\n  "net": {\n    "prot": 1\n  }\n}')).toBe(
    'skein.config.json:3:5: net.prot: unknown key; did you mean "port"?',
  );
  expect(problemsOf('{"net":{"peers":[{"url":"ws://a:1","trusts":"full"}]}}')).toContain(
    'net.peers[0].trusts: unknown key; did you mean "trust"?',
  );
});

test('a key that is nothing like a known one is refused with the list of those', () => {
  expect(problemsOf('{"zzzzzzzz": 1}')).toContain('known: name, dataDir, net');
});

test.each(['relay', 'discovery', 'files', 'publicJoin'])('net.%s is refused as known but not available', (key) => {
  expect(problemsOf(JSON.stringify({ net: { [key]: {} } }))).toContain(
    `net.${key}: known from VoleNet, not available in this version`,
  );
});

test('a wrong value is refused with path, expectation and value, all problems at once', () => {
  const text = problemsOf('{"net":{"port":"x","role":"boss"},"agent":{"maxIterations":0}}');
  expect(text).toContain('net.port: expected number, received string; the value is "x"');
  expect(text).toContain('net.role: no such value "boss"; there are "coordinator", "worker", "peer"');
  expect(text).toContain('agent.maxIterations: ');
});

test('a value under a secret-like key is never shown', () => {
  expect(problemsOf('{"net":{"peers":[{"url":"ws://a:1","key":["hunter2"]}]}}')).not.toContain('hunter2');
});

test('a peer address with a password or of another scheme is refused', () => {
  for (const url of ['ws://user:pass@a:1', 'file:///etc/passwd', 'a:1', '']) {
    expect(problemsOf(JSON.stringify({ net: { peers: [{ url }] } }))).toContain('net.peers[0].url: expected an address');
  }
});

test('a key given twice is refused where it is given again', () => {
  expect(problemsOf('{"net":{"port":1,\n"port":2}}')).toBe('skein.config.json:2:1: "port" is given twice');
});

test('a __proto__ key is refused', () => {
  expect(problemsOf('{"__proto__":{"net":{"port":1}}}')).toContain('"__proto__" is not a key');
});

test('a named file that is not there is refused; an unnamed one is not needed', () => {
  using place = folder();
  expect(errorOf({ cwd: place.cwd, file: 'other.json' }).code).toBe('not-found');
  expect(errorOf({ cwd: place.cwd, env: { SKEIN_CONFIG: 'other.json' } }).code).toBe('not-found');
});

test('options are stronger than the environment, and that than the file', () => {
  using place = folder('{"name":"file","net":{"port":1,"host":"::1"},"log":{"level":"warn"}}');
  const env = { SKEIN_NAME: 'env', SKEIN_PORT: '2', SKEIN_LOG_LEVEL: '', SKEIN_BRAIN_PROVIDER: 'mistral' };
  const { config } = loadConfig({ cwd: place.cwd, env, overrides: { name: 'option' } });
  expect([config.name, config.net.port, config.net.host, config.log.level]).toEqual(['option', 2, '::1', 'warn']);
  expect(config.brain).toMatchObject({ provider: 'mistral', fallbacks: [] });
});

test('a wrong variable is refused by its own name', () => {
  using place = folder();
  expect(errorOf({ cwd: place.cwd, env: { SKEIN_PORT: '99999' } }).message).toMatch(/^SKEIN_PORT: net\.port: /);
  expect(errorOf({ cwd: place.cwd, env: { SKEIN_PORT: 'x' } }).message).toBe('SKEIN_PORT is "x"; expected a whole number');
  expect(errorOf({ cwd: place.cwd, env: { SKEIN_PROT: '1' } }).message).toContain('did you mean "SKEIN_PORT"?');
  expect(errorOf({ cwd: place.cwd, env: { SKEIN_SHARE_TOOLS: 'maybe' } }).message).toContain('expected true or false');
});

test('what says something of a model is refused beside a brain that has none', () => {
  expect(problemsOf('{"brain":{"model":"x"}}')).toContain('brain.provider: expected one of');
  expect(problemsOf('{"brain":{"provider":"intents","baseUrl":"http://a"}}')).toContain('brain.baseUrl: means nothing');
});

test('a key pasted where the name of its variable belongs is refused and never shown', () => {
  const text = problemsOf('{"brain":{"provider":"openai","apiKeyEnv":"sk-secret-1"}}');
  expect(text).toContain('brain.apiKeyEnv: must be the name of an environment variable');
  expect(text).not.toContain('sk-secret-1');
});

test('two different names for one node are refused', () => {
  expect(problemsOf('{"name":"a","net":{"instanceName":"b"}}')).toContain('a node has one name');
});

test('relative paths begin at the file', () => {
  using place = folder(
    '{"dataDir":"data","net":{"keyPath":"my-key","tls":{"cert":"c.pem","key":"k.pem"}},"log":{"file":"a.log"},"tools":{"root":"work"},"brain":{"provider":"openai","apiKeyFile":"b"}}',
  );
  const { config } = loadConfig({ cwd: os.tmpdir(), file: path.join(place.cwd, CONFIG_FILE), env: {} });
  expect([config.dataDir, config.net.keyPath, config.log.file, config.tools.root, config.brain?.apiKeyFile]).toEqual(
    ['data', 'my-key', 'a.log', 'work', 'b'].map((name) => path.join(place.cwd, name)),
  );
  expect(config.net.tls).toEqual({ cert: path.join(place.cwd, 'c.pem'), key: path.join(place.cwd, 'k.pem') });
});

test('the described config holds what was given and otherwise the defaults', () => {
  const values: ConfigInput = {
    name: 'us',
    net: { port: 0, share: { tools: true }, peers: [{ url: 'ws://a:1', trust: 'tool' }] },
  };
  using place = folder();
  const expected = loadConfig({ cwd: place.cwd, env: {}, overrides: values }).config;
  writeFileSync(path.join(place.cwd, CONFIG_FILE), describeConfig(values));
  expect(loadConfig({ cwd: place.cwd, env: {} }).config).toEqual(expected);
});

test('every commented line of the described config can be uncommented', () => {
  const lines = describeConfig().split('\n');
  const uncommented = lines.map((line) => line.replace(/^(\s*)\/\/ (?="|[[\]{}]| )/, '$1'));
  expect(uncommented.filter((line) => /^\s*"/.test(line)).length).toBeGreaterThan(20);
  using place = folder(uncommented.join('\n'));
  // The two examples of a name are the same node's.
  const { net, brain, tools, schedules } = loadConfig({ cwd: place.cwd, env: {} }).config;
  expect(net.hostname).toBe('node.example.org');
  expect(net.peers.map(({ dialect }) => dialect)).toEqual(['skein', 'skein']);
  expect(brain?.fallbacks.length).toBe(2);
  expect([tools.plugins.length, Object.keys(tools.mcp), Object.keys(tools.databases), schedules.length]).toEqual([
    2,
    ['files', 'calendar'],
    ['shop', 'stock'],
    1,
  ]);
});
