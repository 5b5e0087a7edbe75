import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SkeinError } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VOLE_GUIDE_NODES, VOLE_GUIDES, type VoleGuide } from '../../../test/vole-guides.ts';
import { parseConfigText } from '../config-text.ts';
import { describeConfig } from '../describe-config.ts';
import { CONFIG_FILE, type LoadedConfig, type LoadOptions, loadConfig } from '../load-config.ts';
import { config as configSchema } from '../schema.ts';
import { KNOWN_PAWS } from './paws.ts';
import { type ConvertedVole, convertVoleConfig, VOLE_CONFIG_FILE } from './vole-config.ts';

function convert(value: unknown, env: Readonly<Record<string, string>> = {}): ConvertedVole {
  return convertVoleConfig(parseConfigText(JSON.stringify(value), VOLE_CONFIG_FILE), env);
}

function errorOf(run: () => unknown): SkeinError {
  try {
    run();
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

function folder(files: Readonly<Record<string, string>>) {
  const cwd = mkdtempSync(path.join(os.tmpdir(), 'skein-vole-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(cwd, name)), { recursive: true });
    writeFileSync(path.join(cwd, name), text);
  }
  return {
    cwd,
    load: (options: LoadOptions = {}): LoadedConfig => loadConfig({ cwd, env: {}, ...options }),
    [Symbol.dispose]: () => rmSync(cwd, { recursive: true, force: true }),
  };
}

function guide(topology: string, node: string): VoleGuide {
  const found = VOLE_GUIDES[topology]?.[node];
  if (found === undefined) throw new Error(`there is no ${topology}: ${node}`);
  return found;
}

describe('the eight ways to connect nodes', () => {
  test.each(VOLE_GUIDE_NODES)('%s is read whole, with nothing refused', (_title, value) => {
    const { config, refused } = convert(value);
    expect(refused).toEqual([]);
    expect(configSchema.safeParse(config).success).toBe(true);
  });

  test.each(VOLE_GUIDE_NODES)('%s means the same in our own form', (_title, value) => {
    using vole = folder({ [VOLE_CONFIG_FILE]: JSON.stringify(value) });
    const theirs = vole.load().config;
    writeFileSync(path.join(vole.cwd, CONFIG_FILE), describeConfig(convert(value).config));
    const ours = vole.load();
    expect(ours.file).toBe(path.join(vole.cwd, CONFIG_FILE));
    expect(ours.config).toEqual({ ...theirs, net: { ...theirs.net, keyPath: path.join(vole.cwd, '.skein', 'key') } });
  });

  test('a worker with a shell: any command, in the folder it was granted, and no brain', () => {
    const { config, trustUnlisted } = convert(guide('one brain, distributed tools', 'us-monitor'));
    expect(config).toMatchObject({
      name: 'us-monitor',
      brain: { provider: 'none' },
      net: { enabled: true, port: 9701, role: 'worker', volenet: true, share: { tools: true, memory: false } },
      tools: { enabled: ['shell_exec'], root: './', shell: { allow: ['*'] } },
    });
    expect(config.net?.peers).toEqual([{ url: 'http://localhost:9700', trust: 'full', dialect: 'auto' }]);
    expect(trustUnlisted).toBe('tool');
  });

  test('a coordinator: its brain is looked for, its tools stay its own, plain names are routed', () => {
    const { config, trustUnlisted } = convert(guide('one brain, distributed tools', 'coordinator'));
    expect(config.brain).toBeUndefined();
    expect(config.net).toMatchObject({ share: { tools: false, memory: true }, routing: { 'shell_*': 'us-monitor' } });
    expect(config.agent).toEqual({ maxIterations: 25, confirmBeforeAct: true });
    expect(trustUnlisted).toBe('read');
  });

  test('balancing, overflow, leader, heartbeat and the brain of another keep their words', () => {
    expect(convert(guide('load-balanced brains', 'one')).config).toMatchObject({
      net: { brainMode: 'loadbalance', taskOverflow: 'forward', maxQueuedTasks: 5, peers: [{ allowBrain: true }] },
      tasks: { concurrency: 2 },
    });
    expect(convert(guide('an autonomous swarm', 'agent-1')).config).toMatchObject({
      net: { leader: 'auto', heartbeatMode: 'leader', share: { session: false } },
      heartbeat: { enabled: true },
    });
    expect(convert(guide('a central brain with thin clients', 'other')).config.net).toMatchObject({ brainSource: 'center' });
    expect(convert(guide('several brains', 'frontend')).config).toMatchObject({
      brain: { provider: 'openai' },
      heartbeat: { cron: '*/20 * * * *' },
      tools: { enabled: ['read_file', 'write_file', 'list_files'], root: './site' },
    });
  });

  test('a scraper may reach the private hosts it was granted by name, and no others', () => {
    const { config } = convert(guide('a central brain with thin clients', 'other'));
    expect(config.tools).toEqual({
      enabled: ['scrape', 'http_get'],
      http: { allowPrivate: ['intranet', '10.1.2.3:8080'] },
    });
  });
});

describe('paws', () => {
  test.each(KNOWN_PAWS)('%s becomes something here, or is refused by its name with what to do', (name) => {
    const { config, refused, notes } = convert({ paws: [name] });
    const { tools, brain, page } = config;
    const isThere = (tools?.enabled ?? []).length > 0 || brain?.provider !== 'none' || page !== undefined;
    const isSilent = ['memory', 'session', 'compact'].some((short) => name.endsWith(`-${short}`));
    if (refused.length > 0) expect(refused).toEqual([expect.stringMatching(new RegExp(`^${name}: .{10,}`))]);
    else expect(isThere || isSilent || notes.some((note) => note.startsWith(`${name}: `))).toBe(true);
  });

  test('an unknown one, a path and a name from the prototype are refused', () => {
    const names = ['@openvole/paw-unheard-of', './paws/mine', 'constructor', '__proto__'];
    expect(convert({ paws: names }).refused).toHaveLength(names.length);
  });

  test('a version behind the name, and the name without its scope, mean the same paw', () => {
    expect(convert({ paws: ['@openvole/paw-shell@2.0.0'] }).config.tools?.enabled).toEqual(['shell_exec']);
    expect(convert({ paws: ['paw-shell'] }).config.tools?.enabled).toEqual(['shell_exec']);
  });

  test('a shell that may start no processes runs only the commands that read', () => {
    expect(convert({ paws: ['@openvole/paw-shell'] }).config.tools?.shell).toBeUndefined();
    const denied = { name: '@openvole/paw-shell', allow: { childProcess: false } };
    expect(convert({ paws: [denied] }).config.tools?.shell).toBeUndefined();
  });

  test('folders beyond the first are left out, and that is said', () => {
    const shell = { name: '@openvole/paw-shell', allow: { childProcess: true, filesystem: ['./', '/tmp'] } };
    const files = { name: '@openvole/paw-filesystem', allow: { filesystem: ['./data'] } };
    const { config, notes } = convert({ paws: [shell, files] });
    expect(config.tools?.root).toBe('./data');
    expect(notes).toContainEqual(expect.stringMatching(/left out: \.\/, \/tmp$/));
  });

  test('a brain beside the list counts once, with the grants of the list', () => {
    const { config } = convert({ brain: '@openvole/paw-xai', paws: ['@openvole/paw-xai'] });
    expect(config.brain).toEqual({ provider: 'xai' });
    expect(convert({ brain: '@openvole/paw-gemini' }).config.brain).toEqual({ provider: 'google' });
  });
});

describe('what keys that are only listed may do', () => {
  const url = 'http://a:1';
  test.each([
    ['nothing is shared', {}, 'read'],
    ['an entry shares tools for itself alone', { peers: [{ url, trust: 'full' }] }, 'read'],
    ['tools are shared', { share: { tools: true } }, 'tool'],
    ['tools are shared and no entry holds back', { share: { tools: true }, peers: [{ url, trust: 'full' }] }, 'tool'],
    ['an entry may only read', { share: { tools: true }, peers: [{ url, trust: 'read' }] }, 'read'],
    ['an entry is denied tools', { share: { tools: true }, peers: [{ url, denyTools: ['shell_*'] }] }, 'read'],
    ['an entry is allowed some tools', { share: { tools: true }, peers: [{ url, allowTools: ['db_*'] }] }, 'read'],
  ])('%s', (_title, net, expected) => {
    expect(convert({ net: { enabled: true, ...net } }).trustUnlisted).toBe(expected);
  });

  test('no configuration gives an entry more than it says, or shares what it says is not', () => {
    const entry = fc.record(
      {
        url: fc.constantFrom('http://a:1', 'ws://b:2', 'https://c'),
        trust: fc.constantFrom('full', 'tool', 'read'),
        allowTools: fc.array(fc.constantFrom('*', 'shell_exec', 'db_*'), { maxLength: 2 }),
        denyTools: fc.array(fc.constantFrom('*', 'shell_exec', 'db_*'), { maxLength: 2 }),
        allowBrain: fc.boolean(),
      },
      { requiredKeys: ['url'] },
    );
    const share = fc.record({ tools: fc.boolean(), memory: fc.boolean(), session: fc.boolean() }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), share, (peers, shared) => {
        const { config, trustUnlisted } = convert({ net: { enabled: true, peers, share: shared } });
        expect(config.net?.peers).toEqual(peers.map((peer) => ({ trust: 'full', ...peer, dialect: 'auto' })));
        const isShared = shared.tools ?? peers.some(({ trust }) => trust === 'full' || trust === 'tool');
        expect(config.net?.share).toEqual({ ...shared, tools: isShared });
        if (trustUnlisted === 'tool') {
          expect(shared.tools).toBe(true);
          for (const { trust, allowTools, denyTools } of peers) {
            expect([trust === 'read', allowTools, denyTools]).toEqual([false, undefined, undefined]);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is wrong in the file', () => {
  test.each([
    ['{\n "net": {\n  "prot": 1 } }', 'vole.config.json:3:3: net.prot: unknown key; did you mean "port"?'],
    ['{"net":{"peers":[{"url":"http://a:1","denytool":[]}]}}', 'net.peers[0].denytool: unknown key; did you mean "denyTools"?'],
    ['{"net":{"share":{"tool":true}}}', 'net.share.tool: unknown key; did you mean "tools"?'],
    ['{"paw":[]}', 'paw: unknown key; did you mean "paws"?'],
    ['{"paws":[{"name":"x","alow":{}}]}', 'paws[0].alow: unknown key; did you mean "allow"?'],
    ['{"net":{"port":99999}}', 'vole.config.json:1:9: net.port: '],
    ['{"net":{"port":"x"}}', 'net.port: expected number, received string; the value is "x"'],
    ['{"net":{"peers":[{"url":"a:1"}]}}', 'net.peers[0].url: expected an address'],
    ['{"net":{"peers":[{"trust":"full"}]}}', 'net.peers[0].url: '],
    ['{"net":{"peers":[{"url":"http://a:1","trust":"ful"}]}}', 'net.peers[0].trust: no such value "ful"'],
    ['{"loop":{"maxIterations":0}}', 'loop.maxIterations: '],
    ['{"loop":{"taskConcurrency":1.5}}', 'loop.taskConcurrency: '],
    ['{"heartbeat":{"cron":"never"}}', 'heartbeat.cron: '],
    ['{"paws":[7]}', 'paws[0]: '],
    ['[]', 'the config: expected '],
  ])('%s', (text, message) => {
    const error = errorOf(() => convertVoleConfig(parseConfigText(text, VOLE_CONFIG_FILE)));
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/^vole\.config\.json:\d+:\d+: /);
    expect(error.code).toBe('invalid');
  });

  test('a key nothing is near to is no error, and is named', () => {
    expect(convert({ net: { telepathy: true }, mood: 'good' }).notes).toEqual(
      expect.arrayContaining(['net.telepathy: unknown key, left out', 'mood: unknown key, left out']),
    );
  });

  test('no value whatever makes it throw anything but a SkeinError', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.jsonValue(),
          fc.record({ net: fc.jsonValue() }),
          fc.record({ paws: fc.array(fc.jsonValue()), loop: fc.jsonValue(), toolProfiles: fc.jsonValue() }),
          fc.record({ net: fc.record({ peers: fc.array(fc.jsonValue()), share: fc.jsonValue(), tls: fc.jsonValue() }) }),
        ),
        (value) => {
          try {
            convert(value);
          } catch (error) {
            expect(error).toBeInstanceOf(SkeinError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('what differs here', () => {
  test('names with what a name may not hold here are fitted, wherever they stand, and that is told once', () => {
    const { config, notes } = convert({
      net: {
        instanceName: 'my vole',
        brainSource: 'the big one!',
        leader: 'auto',
        routing: { 'shell_*': 'my vole', echo: 'plain' },
      },
    });
    expect(config.name).toBe('my-vole');
    expect(config.net).toMatchObject({
      brainSource: 'the-big-one-',
      leader: 'auto',
      routing: { 'shell_*': 'my-vole', echo: 'plain' },
    });
    expect(configSchema.safeParse(config).success).toBe(true);
    expect(notes.filter((note) => note.includes(' here, where a name has '))).toEqual([
      expect.stringMatching(/^"my vole": is "my-vole" here/),
      expect.stringMatching(/^"the big one!": is "the-big-one-" here/),
    ]);
    expect(convert({ net: { instanceName: '日本' } }).config.name).toBe('vole');
  });

  test('numbers beyond what is possible here become the nearest that is, and that is told', () => {
    const { config, notes } = convert({ loop: { maxIterations: 1_000 }, net: { authTimeoutMs: 10_000 } });
    expect(config).toMatchObject({ agent: { maxIterations: 200 }, net: { authTimeoutMs: 5_000 } });
    expect(notes).toEqual(
      expect.arrayContaining([
        'loop.maxIterations: 1000 is 200 here, from 1 to 200 being possible',
        'net.authTimeoutMs: 10000 is 5000 here, from 100 to 5000 being possible',
      ]),
    );
    expect(configSchema.safeParse(config).success).toBe(true);
    expect(convert({ loop: { maxIterations: 25 } }).notes.join()).not.toContain('maxIterations');
  });

  test('settings that are left out are named, each with why', () => {
    const { notes, refused } = convert({
      net: { encrypt: false, files: {}, publishNames: true, authTimeoutMs: 1, discovery: 'mdns' },
      loop: { rateLimits: {}, costTracking: 'auto' },
      skills: ['x'],
      agents: {},
      security: { allowedPaths: ['/srv'], sandboxFilesystem: false, docker: {} },
    });
    const named = ['encrypt', 'files', 'publishNames', 'authTimeoutMs', 'discovery'].map((key) => `net.${key}`);
    const others = ['loop.rateLimits', 'loop.costTracking', 'skills', 'agents', 'security.allowedPaths', 'security.docker'];
    for (const key of [...named, ...others]) expect(notes.filter((note) => note.startsWith(`${key}: `))).toHaveLength(1);
    expect(refused).toEqual([]);
  });

  test('what would let strangers in, or hold an asker back, is refused and not left out', () => {
    const { refused } = convert({
      net: { publicJoin: { enabled: true }, relay: { enabled: true } },
      toolProfiles: { heartbeat: { deny: ['shell_exec'] }, cli: {}, telegram: { deny: ['*'] } },
    });
    expect(refused.map((line) => line.split(':')[0])).toEqual(['net.publicJoin', 'net.relay', 'toolProfiles.heartbeat']);
  });

  test('whether OpenVole nodes are sealed to, and how long messages are kept, stays as it is written', () => {
    const { config, notes } = convert({ net: { encrypt: true, chatRetention: { maxMessages: 50 } } });
    expect(config.net).toMatchObject({ encrypt: true, chatRetention: { maxMessages: 50 } });
    expect(notes.filter((note) => note.startsWith('net.'))).toHaveLength(2);
    expect(convert({ net: { encrypt: false } }).config.net?.encrypt).toBe(false);
    // Not said there, it is as with any node of ours: sealed where the other side announced keys.
    expect(convert({ net: {} }).config.net?.encrypt).toBeUndefined();
    expect(errorOf(() => convert({ net: { encrypt: 'yes' } })).message).toContain('net.encrypt: ');
    expect(errorOf(() => convert({ net: { chatRetention: { maxAgeDays: 0 } } })).message).toContain(
      'net.chatRetention.maxAgeDays',
    );
  });

  test('the net is off unless it is switched on', () => {
    const { config, notes } = convert({ net: { instanceName: 'a' } });
    expect(config.net?.enabled).toBe(false);
    expect(notes).toContainEqual(expect.stringContaining('net.enabled'));
  });
});

describe('the environment', () => {
  const value = { brain: '@openvole/paw-brain', net: { hostname: 'file', publicUrl: 'https://file' } };

  test('its host name and public address stand over the file', () => {
    const { config } = convert(value, { VOLE_NET_HOSTNAME: 'env', VOLE_NET_PUBLIC_URL: 'wss://env' });
    expect(config.net).toMatchObject({ hostname: 'env', publicUrl: 'wss://env' });
    expect(convert(value, { VOLE_NET_HOSTNAME: '' }).config.net).toMatchObject({ hostname: 'file' });
  });

  test('those of Skein are stronger', () => {
    using vole = folder({ [VOLE_CONFIG_FILE]: JSON.stringify(value) });
    const { config } = vole.load({ env: { VOLE_NET_HOSTNAME: 'env', SKEIN_HOSTNAME: 'skein' } });
    expect(config.net.hostname).toBe('skein');
  });

  test('a wrong one is told by its own name', () => {
    const { message } = errorOf(() => convert(value, { VOLE_NET_PUBLIC_URL: 'nowhere' }));
    expect(message).toMatch(/^VOLE_NET_PUBLIC_URL: net\.publicUrl: expected an address/);
  });

  test('BRAIN_PROVIDER chooses the model of paw-brain, its key staying where it is', () => {
    const env = { BRAIN_PROVIDER: 'gemini', BRAIN_MODEL: 'some-model', BRAIN_API_KEY: 'hunter2' };
    const { config } = convert(value, env);
    expect(config.brain).toEqual({ provider: 'google', model: 'some-model', apiKeyEnv: 'BRAIN_API_KEY' });
    expect(JSON.stringify(convert(value, env))).not.toContain('hunter2');
    expect(convert({ brain: '@openvole/paw-claude' }, env).config.brain).toEqual({ provider: 'anthropic' });
    expect(errorOf(() => convert(value, { BRAIN_PROVIDER: 'mock' })).message).toContain('there are: claude, anthropic');
  });

  test('others that are set are named as not read', () => {
    const { notes } = convert(value, { VOLE_HOME: '/x', VOLE_VAULT_KEY: 'hunter2', HOME: '/y' });
    expect(notes.filter((note) => note.includes('not read here')).map((note) => note.split(':')[0])).toEqual([
      'VOLE_HOME',
      'VOLE_VAULT_KEY',
    ]);
    expect(notes.join()).not.toContain('hunter2');
  });
});

describe('loading', () => {
  const text = '// ours now\n{ "net": { "enabled": true, "instanceName": "theirs", "keyPath": "keys/other_name", }, }';

  test('it is read where there is no config of ours, with comments; data beside it, the key in the folder of keyPath', () => {
    using vole = folder({ [VOLE_CONFIG_FILE]: text });
    const { config, file, watchedFile } = vole.load();
    expect([config.name, file, watchedFile]).toEqual(['theirs', path.join(vole.cwd, VOLE_CONFIG_FILE), file]);
    expect(config.dataDir).toBe(path.join(vole.cwd, '.skein'));
    expect(config.net.keyPath).toBe(path.join(vole.cwd, 'keys', 'vole_key'));
    using usual = folder({ [VOLE_CONFIG_FILE]: '{}' });
    expect(usual.load().config.net.keyPath).toBe(path.join(usual.cwd, '.openvole', 'net', 'vole_key'));
  });

  test('a config of ours beside it is the one that counts, and one that is named too', () => {
    using vole = folder({ [VOLE_CONFIG_FILE]: text, [CONFIG_FILE]: '{"name":"ours"}', 'other.json': '{"name":"other"}' });
    expect(vole.load()).toMatchObject({ config: { name: 'ours' } });
    expect(vole.load().vole).toBeUndefined();
    expect(vole.load({ file: 'other.json' }).config.name).toBe('other');
    expect(vole.load({ file: VOLE_CONFIG_FILE }).config.name).toBe('theirs');
  });

  test('options and the environment are stronger than it', () => {
    using vole = folder({ [VOLE_CONFIG_FILE]: text });
    const { config } = vole.load({ env: { SKEIN_PORT: '7' }, overrides: { name: 'option' } });
    expect([config.name, config.net.port]).toEqual(['option', 7]);
  });

  test('what this version lacks stops it, each thing named with what to do', () => {
    using vole = folder({
      [VOLE_CONFIG_FILE]: '{"paws":["@openvole/paw-telegram","@openvole/paw-pdf"],"net":{"relay":{"enabled":true}}}',
    });
    const error = errorOf(() => vole.load());
    expect(error.code).toBe('unsupported');
    for (const part of ['paw-telegram: there is no Telegram', 'paw-pdf: add a PDF server', 'net.relay', '--without-missing']) {
      expect(error.message).toContain(part);
    }
  });

  test('what is in its folder and not taken over is told', () => {
    using vole = folder({ [VOLE_CONFIG_FILE]: '{}', '.openvole/schedules.json': '[]', '.openvole/HEARTBEAT.md': 'x' });
    const notes = vole.load().vole?.notes ?? [];
    expect(notes.filter((note) => note.startsWith('.openvole/'))).toEqual([
      expect.stringContaining('schedules.json: its schedules are left out'),
      expect.stringContaining('HEARTBEAT.md: not read'),
    ]);
  });
});
