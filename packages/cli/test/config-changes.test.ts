import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

/** A folder with a config of a node that is quick to start. */
function configured(more: object = {}) {
  const dir = new TempDir();
  const file = path.join(dir.path, 'skein.config.json');
  const write = (values: object) =>
    writeFileSync(file, JSON.stringify({ name: 'here', brain: { provider: 'intents' }, net: { port: 0 }, ...values }));
  write(more);
  return { cwd: dir.path, file, write, [Symbol.dispose]: () => dir[Symbol.dispose]() };
}

const checkOf = async (cwd: string, name: string) => {
  const { lines } = await skein(cwd, ['doctor', '--json']);
  return lines.find((line) => line.type === 'check' && line.name === name);
};

test('what waits for a restart is shown by net status and doctor until it is put back', async () => {
  using place = configured();
  await using node = new SkeinProcess(['start', '--json'], { cwd: place.cwd });
  await node.line(({ type }) => type === 'ready');
  const before = readFileSync(place.file, 'utf8');
  place.write({ name: 'there' });
  await node.line(({ needRestart }) => JSON.stringify(needRestart) === '["name"]');
  expect((await skein(place.cwd, ['net', 'status', '--json'])).lines[0]).toMatchObject({ needRestart: ['name'] });
  expect((await skein(place.cwd, ['net', 'status'])).stdout).toContain('in force after a restart: name');
  expect(await checkOf(place.cwd, 'restart')).toMatchObject({ state: 'warn', text: expect.stringContaining('name') });
  writeFileSync(place.file, before);
  await node.line(({ type, needRestart }) => type === 'config-reloaded' && JSON.stringify(needRestart) === '[]');
  expect((await skein(place.cwd, ['net', 'status'])).stdout).not.toContain('restart');
  expect(await checkOf(place.cwd, 'restart')).toMatchObject({ state: 'ok' });
});

test('a leader that nobody is called is told with what was meant, by net status and doctor, running or not', async () => {
  using place = configured({ net: { port: 0, leader: 'quorom' } });
  await using node = new SkeinProcess(['start', '--json'], { cwd: place.cwd });
  await node.line(({ type }) => type === 'ready');
  const advice = {
    text: expect.stringContaining('net.leader is "quorom"'),
    fix: expect.stringContaining('did you mean "quorum"?'),
  };
  const { stdout } = await skein(place.cwd, ['net', 'status']);
  expect(stdout).toMatch(/net\.leader is "quorom", which is no mode[\s\S]*did you mean "quorum"\?/);
  expect(await checkOf(place.cwd, 'leader')).toMatchObject({ state: 'warn', ...advice });
  node.child.kill('SIGTERM');
  await node.result();
  expect(await checkOf(place.cwd, 'leader')).toMatchObject({ state: 'warn', ...advice });
});

test('a file of too many levels is refused at the start and while the node runs, which goes on', async () => {
  using place = configured();
  const deep = '{"a":'.repeat(5_000);
  await using node = new SkeinProcess(['start', '--json'], { cwd: place.cwd });
  await node.line(({ type }) => type === 'ready');
  writeFileSync(place.file, deep);
  expect(await node.line(({ type }) => type === 'config-rejected')).toMatchObject({
    problem: expect.stringContaining('nested deeper than 64 levels'),
  });
  node.child.kill('SIGTERM');
  expect((await node.result()).code).toBe(0);
  const { code, lines } = await skein(place.cwd, ['start', '--json']);
  expect({ code, lines }).toEqual({
    code: 1,
    lines: [{ type: 'error', code: 'invalid', message: expect.stringContaining('nested deeper than 64 levels') }],
  });
});

test('ask --session with an id that is not there says that a new conversation begins, and one that is there does not', async () => {
  using place = configured();
  const first = await skein(place.cwd, ['ask', '--session', 'typo', 'hello']);
  expect(first).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('There is no conversation "typo" yet: a new one begins'),
  });
  expect((await skein(place.cwd, ['ask', '--session', 'typo', 'hello', '--json'])).stderr).toBe('');
});
