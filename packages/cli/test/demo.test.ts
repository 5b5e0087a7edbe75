import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { isAlive, SkeinProcess, skein, TempDir, untilGone } from './skein-process.ts';

const NAMES = ['coordinator', 'us-monitor', 'eu-monitor'];

function pidOf(dir: TempDir, name: string): number {
  const running: unknown = JSON.parse(readFileSync(path.join(dir.path, '.skein/demo', name, 'data/running.json'), 'utf8'));
  return typeof running === 'object' && running !== null && 'pid' in running ? Number(running.pid) : 0;
}

async function startDemo(dir: TempDir): Promise<SkeinProcess> {
  const demo = new SkeinProcess(['demo', '--brain', 'intents'], { cwd: dir.path });
  await demo.said(/page\s+http:\/\/127\.0\.0\.1:\d+\/#token=/);
  return demo;
}

test('--once --json prints only events of the turn, the last an answer with a remote call, and leaves no process', async () => {
  using dir = new TempDir();
  const args = ['demo', '--brain', 'intents', '--once', 'how full is the disk on us-monitor?', '--json'];
  const { code, lines, stdout, stderr } = await skein(dir.path, args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.trim().split('\n')).toHaveLength(lines.length);
  expect(lines.slice(0, 2)).toMatchObject([{ type: 'task-accepted' }, { type: 'turn-start' }]);
  expect(lines.at(-1)).toMatchObject({ type: 'answer', text: expect.stringContaining('us-monitor') });
  expect(lines.at(-1)?.toolCalls).toEqual([
    { name: expect.stringMatching(/^us-monitor\//), peer: 'us-monitor', ms: expect.any(Number), ok: true },
  ]);
  for (const name of NAMES) expect(() => pidOf(dir, name)).toThrow('ENOENT');
});

test('--once asks the brain the config names', async () => {
  using dir = new TempDir();
  await using server = await startLlmServer({
    script: [{ toolCalls: [{ name: 'eu-monitor__system_info', input: {} }] }, { text: 'It has plenty.' }],
  });
  writeFileSync(
    path.join(dir.path, 'skein.config.json'),
    JSON.stringify({ brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${server.url}/v1` } }),
  );
  const { code, lines } = await skein(dir.path, ['demo', '--once', 'how much memory is free in Europe?', '--json']);
  expect(lines.at(-1)).toMatchObject({
    type: 'answer',
    text: 'It has plenty.',
    toolCalls: [{ name: 'eu-monitor/system_info', peer: 'eu-monitor', ok: true }],
  });
  expect(code).toBe(0);
});

test('--once ends with an error line and another exit code when the brain fails', async () => {
  using dir = new TempDir();
  const brain = { provider: 'openai-compatible', model: 'none', baseUrl: 'http://127.0.0.1:9/v1' };
  writeFileSync(path.join(dir.path, 'skein.config.json'), JSON.stringify({ brain }));
  const { code, lines } = await skein(dir.path, ['demo', '--once', 'hello', '--json']);
  expect(code).toBe(1);
  expect(lines.at(-1)).toEqual({ type: 'error', code: expect.any(String), message: expect.any(String) });
});

test('--json without --once prints an object a line and nothing else, whatever happens meanwhile', async () => {
  using dir = new TempDir();
  await using demo = new SkeinProcess(['demo', '--brain', 'intents', '--json'], { cwd: dir.path });
  await demo.line(({ type }) => type === 'ready');
  process.kill(pidOf(dir, 'us-monitor'), 'SIGKILL');
  await demo.line(({ type, name }) => type === 'process-ended' && name === 'us-monitor');
  await demo.line(({ type, name }) => type === 'process-ready' && name === 'us-monitor');
  await demo.line(({ type, name }) => type === 'peer-joined' && name === 'us-monitor');
  demo.child.kill('SIGTERM');
  const { lines, stdout } = await demo.result();
  expect(stdout.trim().split('\n')).toHaveLength(lines.length);
});

test('a worker that is killed is shown leaving, and comes back by itself', async () => {
  using dir = new TempDir();
  await using demo = await startDemo(dir);
  process.kill(pidOf(dir, 'us-monitor'), 'SIGKILL');
  await demo.said(/us-monitor left/);
  await demo.said(/ended by SIGKILL; starting it again/);
  await demo.said(/us-monitor is up again/);
  await demo.said(/us-monitor is here/);
});

test('a second demo in the same place is refused, and changes nothing of the first', async () => {
  using dir = new TempDir();
  await using _demo = await startDemo(dir);
  const files = () =>
    ['ports.json', ...NAMES.map((name) => `${name}/skein.config.json`)].map((file) =>
      readFileSync(path.join(dir.path, '.skein/demo', file), 'utf8'),
    );
  const before = files();
  const { code, lines } = await skein(dir.path, ['demo', '--once', 'hello', '--json']);
  expect({ code, lines }).toEqual({
    code: 1,
    lines: [{ type: 'error', code: 'conflict', message: expect.stringContaining('skein -C') }],
  });
  expect(files()).toEqual(before);
});

test('SIGTERM ends all four processes, with exit code 0', async () => {
  using dir = new TempDir();
  await using demo = await startDemo(dir);
  const pids = NAMES.map((name) => pidOf(dir, name));
  demo.child.kill('SIGTERM');
  expect((await demo.result()).code).toBe(0);
  for (const pid of pids) await untilGone(pid);
});

test('no node outlives a demo that is killed', async () => {
  using dir = new TempDir();
  await using demo = await startDemo(dir);
  const pids = NAMES.map((name) => pidOf(dir, name));
  demo.child.kill('SIGKILL');
  try {
    for (const pid of pids) await untilGone(pid);
  } finally {
    for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGKILL');
  }
});

test('keys and ports stay from one start to the next, and the second is quick', async () => {
  using dir = new TempDir();
  const state = async () => {
    await using demo = await startDemo(dir);
    const ports = readFileSync(path.join(dir.path, '.skein/demo/ports.json'), 'utf8');
    const keys = NAMES.map((name) => readFileSync(path.join(dir.path, '.skein/demo', name, 'data/key'), 'utf8'));
    const seconds = Number((await demo.said(/up \((\d+\.\d) s\)/))[1]);
    demo.child.kill('SIGTERM');
    await demo.result();
    return { ports, keys, seconds };
  };
  const { seconds: _first, ...before } = await state();
  const { seconds, ...after } = await state();
  expect(after).toEqual(before);
  // Within three where nothing else runs.
  expect(seconds).toBeLessThan(15);
});
