import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

const config = { name: 'here', brain: { provider: 'intents' }, net: { port: 0 } };

test('page prints the link with the token in its fragment, which opens the API of the running node', async () => {
  using dir = new TempDir();
  writeFileSync(path.join(dir.path, 'skein.config.json'), JSON.stringify(config));
  await using node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  const { page } = await node.line(({ type }) => type === 'ready');
  const { lines } = await skein(dir.path, ['page', '--json']);
  const token = readFileSync(path.join(dir.path, '.skein/page_token'), 'utf8').trim();
  expect(lines).toEqual([{ type: 'page', page: `${String(page)}#token=${token}` }]);
  const { stdout } = await skein(dir.path, ['page']);
  expect(stdout).toBe(`${String(lines[0]?.page)}\n`);
  const answer = await fetch(`${String(page)}api/status`, { headers: { Authorization: `Bearer ${token}` } });
  expect(await answer.json()).toMatchObject({ name: 'here' });
});

test('page says what to do where no node runs, and where one serves no page', async () => {
  using dir = new TempDir();
  const file = path.join(dir.path, 'skein.config.json');
  writeFileSync(file, JSON.stringify(config));
  const stopped = await skein(dir.path, ['page', '--json']);
  expect(stopped).toMatchObject({ code: 1, lines: [{ code: 'unavailable', message: expect.stringContaining('skein start') }] });
  writeFileSync(file, JSON.stringify({ ...config, page: { enabled: false } }));
  expect((await skein(dir.path, ['page', '--json'])).lines).toMatchObject([{ code: 'unsupported' }]);
});
