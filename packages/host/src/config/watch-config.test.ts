import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { CONFIG_FILE, loadConfig } from './load-config.ts';
import { VOLE_CONFIG_FILE } from './vole/vole-config.ts';
import { changedPaths, watchConfig } from './watch-config.ts';

/** A watched config file in a folder of its own. */
function watched(text: string, name = CONFIG_FILE) {
  const cwd = mkdtempSync(path.join(os.tmpdir(), 'skein-watch-'));
  const file = path.join(cwd, name);
  writeFileSync(file, text);
  const stop = new AbortController();
  const options = { cwd, env: {} };
  const changes = watchConfig(loadConfig(options), { ...options, signal: stop.signal });
  return {
    changes,
    stop: () => stop.abort(),
    write: (next: string) => writeFileSync(file, next),
    replace: (next: string) => {
      writeFileSync(`${file}.new`, next);
      renameSync(`${file}.new`, file);
    },
    async next() {
      const { value } = await changes.next();
      return value;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await changes.return();
      rmSync(cwd, { recursive: true, force: true });
    },
  };
}

test('a change is told, split into what applies at once and what waits for a restart', async () => {
  await using file = watched('{"name":"a"}');
  file.write('{"name":"b","net":{"port":1,"share":{"tools":true}},"log":{"level":"debug"}}');
  expect(await file.next()).toMatchObject({
    type: 'config-reloaded',
    config: { name: 'b', net: { port: 1 } },
    applied: ['log.level', 'net.share.tools'],
    needRestart: ['name', 'net.port'],
  });
});

test('a file replaced by a rename is seen, again and again', async () => {
  await using file = watched('{}');
  for (const level of ['debug', 'warn', 'error']) {
    const next = file.next();
    file.replace(`{"log":{"level":"${level}"}}`);
    expect(await next).toMatchObject({ type: 'config-reloaded', applied: ['log.level'], config: { log: { level } } });
  }
});

test('a bad file is rejected with its place, and the next good one is compared with what still holds', async () => {
  await using file = watched('{"log":{"level":"warn"}}');
  const rejected = file.next();
  file.replace('{"log":\n{"level":"loud"}}');
  expect(await rejected).toMatchObject({
    type: 'config-rejected',
    problem: expect.stringContaining('skein.config.json:2:2: log.level'),
  });
  const good = file.next();
  file.replace('{"log":{"level":"warn"},"agent":{"maxIterations":3}}');
  expect(await good).toMatchObject({ type: 'config-reloaded', applied: ['agent.maxIterations'], needRestart: [] });
});

test('what waits for a restart is all that differs from what runs, and nothing once it is put back', async () => {
  await using file = watched('{"name":"a"}');
  const renamed = file.next();
  file.replace('{"name":"b"}');
  expect(await renamed).toMatchObject({ applied: [], needRestart: ['name'] });
  const more = file.next();
  file.replace('{"name":"b","log":{"level":"warn"}}');
  expect(await more).toMatchObject({ applied: ['log.level'], needRestart: ['name'] });
  const back = file.next();
  file.replace('{"name":"a","log":{"level":"warn"}}');
  expect(await back).toMatchObject({ type: 'config-reloaded', applied: [], needRestart: [] });
});

test('a bad file put back as it was is told as no longer bad', async () => {
  await using file = watched('{}');
  const rejected = file.next();
  file.replace('{');
  expect(await rejected).toMatchObject({ type: 'config-rejected' });
  const back = file.next();
  file.replace('{}');
  expect(await back).toMatchObject({ type: 'config-reloaded', applied: [], needRestart: [] });
});

test('a file that says the same in other words is no change', async () => {
  await using file = watched('{"log":{"level":"warn"}}');
  const next = file.next();
  file.replace('{ "log": { "level": "warn" } } // still');
  file.replace('{"name":"b"}');
  expect(await next).toMatchObject({ needRestart: ['name'], applied: ['log.level'] });
});

test('the signal ends it while it waits', async () => {
  await using file = watched('{}');
  const next = file.changes.next();
  file.stop();
  expect(await next).toEqual({ done: true, value: undefined });
});

test('changed paths look into objects and take arrays as a whole', () => {
  expect(changedPaths({ a: { b: 1, c: [1] }, d: 1 }, { a: { b: 2, c: [1, 2] }, d: 1, e: {} })).toEqual(['a.b', 'a.c', 'e']);
});

test('a config of VoleNet stays one: its changes are told by our names, and what is lacking is refused', async () => {
  await using file = watched('{"net":{"enabled":true}}', VOLE_CONFIG_FILE);
  file.write('{"paws":["@openvole/paw-telegram"],"net":{"enabled":true}}');
  expect(await file.next()).toMatchObject({ type: 'config-rejected', problem: expect.stringContaining('paw-telegram') });
  file.write('{"loop":{"maxIterations":3},"net":{"enabled":true,"share":{"tools":true},"port":1}}');
  expect(await file.next()).toMatchObject({
    type: 'config-reloaded',
    applied: ['agent.maxIterations', 'net.share.tools'],
    needRestart: ['net.port'],
  });
});
