import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type LlmServer, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { noTerminal, SkeinProcess, SkeinTerminal, skein, TempDir } from './skein-process.ts';

const DEADLINE_MS = 60_000;

/** A node's folder, with a model that waits for the gate before it answers. */
async function createSlow() {
  await using stack = new AsyncDisposableStack();
  const gate = Promise.withResolvers<void>();
  const script = async () => {
    await gate.promise;
    return { text: 'It is well.' };
  };
  const llm = stack.use(await startLlmServer({ script }));
  const dir = stack.use(new TempDir());
  const brain = { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` };
  writeFileSync(path.join(dir.path, 'skein.config.json'), JSON.stringify({ name: 'here', brain, net: { port: 0 } }));
  const life = stack.move();
  return { llm, dir, answer: gate.resolve, [Symbol.asyncDispose]: () => life.disposeAsync() };
}

/** Asks, and resolves when the model thinks. */
async function ask({ llm, dir }: { readonly llm: LlmServer; readonly dir: TempDir }): Promise<SkeinProcess> {
  const asking = new SkeinProcess(['ask', 'is it well?', '--json'], { cwd: dir.path });
  const { type, id } = await asking.line((line) => line.type === 'task-accepted');
  expect([type, id]).toEqual(['task-accepted', expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  await llm.nextRequest();
  return asking;
}

const tasksOf = async (dir: TempDir) => (await skein(dir.path, ['tasks', '--json'])).lines;

test('work of a command that is killed goes on at the node, and its answer is kept', { timeout: DEADLINE_MS }, async () => {
  await using net = await createSlow();
  await using node = new SkeinProcess(['start', '--json'], { cwd: net.dir.path });
  await node.line(({ type }) => type === 'ready');
  await using killed = await ask(net);
  killed.child.kill('SIGKILL');
  await killed.result();
  await using ended = await ask(net);
  ended.child.kill('SIGTERM');
  const { code, stderr } = await ended.result();
  expect(code).toBe(143);
  expect(stderr).toMatch(/goes on: .*skein tasks show [0-9a-f]{8}/);
  const tasks = await tasksOf(net.dir);
  expect(tasks.map(({ state }) => state)).toEqual(['running', 'running']);
  net.answer();
  await expect.poll(async () => (await tasksOf(net.dir)).map(({ state }) => state)).toEqual(['done', 'done']);
  for (const { id } of tasks)
    expect((await skein(net.dir.path, ['tasks', 'show', String(id)])).stdout).toContain('It is well.');
});

test('Ctrl-C ends the work, here and at the model', { timeout: DEADLINE_MS }, async () => {
  await using net = await createSlow();
  await using node = new SkeinProcess(['start', '--json'], { cwd: net.dir.path });
  await node.line(({ type }) => type === 'ready');
  await using asking = await ask(net);
  asking.child.kill('SIGINT');
  expect((await asking.result()).code).toBe(130);
  expect(await tasksOf(net.dir)).toMatchObject([{ state: 'canceled' }]);
  expect(await net.llm.requests[0]?.ended).toBe('closed');
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  'without a running node, %s leaves no work behind for the next command',
  { timeout: DEADLINE_MS },
  async (signal) => {
    await using net = await createSlow();
    await using asking = await ask(net);
    asking.child.kill(signal);
    await asking.result();
    expect(await tasksOf(net.dir)).toMatchObject([{ state: 'canceled' }]);
    expect(net.llm.count).toBe(1);
  },
);

test.skipIf(noTerminal !== null)('Ctrl-C in a chat ends the work and not the chat', { timeout: DEADLINE_MS }, async () => {
  await using net = await createSlow();
  await using node = new SkeinProcess(['start', '--json'], { cwd: net.dir.path });
  await node.line(({ type }) => type === 'ready');
  await using chat = new SkeinTerminal(['chat'], { cwd: net.dir.path });
  await chat.said(/help shows/);
  chat.type('is it well?\r');
  await net.llm.nextRequest();
  chat.type('\u0003');
  await chat.said(/Stopped/);
  expect(await tasksOf(net.dir)).toMatchObject([{ state: 'canceled' }]);
  net.answer();
  chat.type('and now?\r');
  await chat.said(/It is well\./);
  chat.type('/quit\r');
  expect((await chat.result()).code).toBe(0);
});
