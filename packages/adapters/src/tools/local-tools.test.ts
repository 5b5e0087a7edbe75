import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { toolDescriptor } from '@skein/protocol';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { rejection, temporaryFolder, toolContext } from '../../test/tool-fixture.ts';
import { createLocalTools, LOCAL_TOOL_NAMES, toolsConfig } from './local-tools.ts';
import { createSystemInfo } from './system-info.ts';

const all = (config: object = {}) =>
  createLocalTools({ config: toolsConfig.parse({ enabled: LOCAL_TOOL_NAMES, ...config }), hidden: [] });

test('an empty configuration is a whole one that only reads', () => {
  const config = toolsConfig.parse({});
  const tools = createLocalTools({ config, hidden: [] });
  expect(tools.map(({ descriptor }) => descriptor.name)).toEqual(config.enabled);
  expect(new Set(tools.map(({ descriptor }) => descriptor.effect))).toEqual(new Set(['read']));
  expect(config.shell.allowShell).toBe(false);
  expect(config.http.allowPrivate).toEqual([]);
});

test('the settings reach the tools', async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'keys'));
  await writeFile(join(folder.path, 'keys/node.key'), 'SECRET');
  await writeFile(join(folder.path, 'big'), 'x'.repeat(5_000));
  const config = toolsConfig.parse({
    enabled: LOCAL_TOOL_NAMES,
    root: folder.path,
    shell: { allowShell: true, timeoutMs: 1_000 },
    files: { maxReadBytes: 1_024, maxWriteBytes: 2 },
  });
  const tools = new Map(
    createLocalTools({ config, hidden: [join(folder.path, 'keys')] }).map((tool) => [tool.descriptor.name, tool]),
  );
  const run = async (name: string, input: object) => tools.get(name)?.run(input, toolContext());
  expect(await run('shell_exec', { command: 'echo a | tr a b' })).toMatchObject({ stdout: 'b\n' });
  expect((await rejection(run('shell_exec', { command: 'sleep 30' }))).code).toBe('deadline-exceeded');
  expect((await rejection(run('read_file', { path: 'keys/node.key' }))).code).toBe('denied');
  expect(await run('read_file', { path: 'big' })).toMatchObject({ truncated: true, content: 'x'.repeat(1_024) });
  expect((await rejection(run('write_file', { path: 'x', content: 'abc' }))).code).toBe('too-large');
  expect(await run('list_files', {})).toMatchObject({ count: 1 });
  expect((await rejection(run('http_get', { url: 'http://127.0.0.1/' }))).code).toBe('denied');
  expect(await run('system_info', {})).toMatchObject({ disk: { path: folder.path } });
});

test.each([{ shell: { allowShel: true } }, { rooot: '.' }, { shell: { timeoutMs: 0 } }, { enabled: 'all' }])(
  'the configuration %j is refused',
  (config) => {
    expect(toolsConfig.safeParse(config).success).toBe(false);
  },
);

test.each(['read_fil', 'toString', '__proto__'])('enabling %s, which is no tool, is invalid', (name) => {
  expect(() => all({ enabled: [name] })).toThrow(/is no local tool/);
});

test('a misspelt tool is answered with the nearest', () => {
  expect(() => all({ enabled: ['read_fil'] })).toThrow(/did you mean read_file\?/);
});

test('every descriptor is one that may cross the wire', () => {
  for (const { descriptor } of all({ shell: { allow: Array.from({ length: 400 }, (_, index) => `command-${index}`) } })) {
    expect(toolDescriptor.safeParse(descriptor).error, descriptor.name).toBeUndefined();
  }
});

test('every example without slots is an input its tool takes, and its field is in the output', async () => {
  await using folder = await temporaryFolder();
  for (const tool of all({ root: folder.path })) {
    for (const { input, say, field } of tool.descriptor.examples) {
      const slots = [...say.matchAll(/\{(\w+)\}/g)].map(([slot]) => slot);
      const text = JSON.stringify(input);
      for (const slot of slots) expect(text, say).toContain(slot);
      if (slots.length > 0) continue;
      const output = await tool.run(input, toolContext());
      if (field === undefined) continue;
      const value = field.split('.').reduce<unknown>((part, key) => z.record(z.string(), z.unknown()).parse(part)[key], output);
      expect(['number', 'string'], `${say}: ${field}`).toContain(typeof value);
    }
  }
});

test('what comes from outside is marked untrusted', () => {
  const untrusted = all().filter((tool) => tool.untrusted);
  expect(untrusted.map(({ descriptor }) => descriptor.name)).toEqual([
    'shell_exec',
    'read_file',
    'list_files',
    'http_get',
    'scrape',
  ]);
});

test('system_info tells what this machine is', async () => {
  const info = z
    .strictObject({
      hostname: z.literal(os.hostname()),
      operatingSystem: z.string().min(1),
      platform: z.literal(process.platform),
      arch: z.literal(process.arch),
      uptimeSeconds: z.int().positive(),
      loadAverage1: z.number().nonnegative(),
      cpuCount: z.int().positive(),
      memory: z.strictObject({
        totalBytes: z.literal(os.totalmem()),
        freeBytes: z.int().positive().max(os.totalmem()),
        usedPercent: z.number().min(0).max(100),
      }),
      disk: z.strictObject({
        path: z.literal('/'),
        totalBytes: z.int().positive(),
        freeBytes: z.int().nonnegative(),
        usedPercent: z.number().min(0).max(100),
      }),
    })
    .parse(await createSystemInfo({ root: '/' }).run({}, toolContext()));
  expect(info.memory.usedPercent).toBeCloseTo((1 - info.memory.freeBytes / info.memory.totalBytes) * 100, 0);
});
