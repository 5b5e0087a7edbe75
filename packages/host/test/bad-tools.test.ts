import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { Nodes, startPair } from './nodes.ts';

/** Tools as badly written as a plug-in may be. */
const BAD_TOOLS = `import { defineTool } from '@skein/agent';
import { z } from 'zod';
const bad = (name, run) => defineTool({ name, description: name, effect: 'read', input: z.object({}), run });
const circle = {};
circle.self = circle;
export const throws = bad('throws', () => {
  throw new Error('the password is hunter2');
});
export const rejects_with_nothing = bad('rejects_with_nothing', () => Promise.reject(undefined));
export const hangs = bad('hangs', () => new Promise(() => {}));
export const circular = bad('circular', () => circle);
export const bigint = bad('bigint', () => 1n);
export const nothing = bad('nothing', () => undefined);
export const huge = bad('huge', () => 'x'.repeat(3_000_000));
export const deep = bad('deep', () => JSON.parse('['.repeat(500) + ']'.repeat(500)));
export const deep_for_the_wire = bad('deep_for_the_wire', () => JSON.parse('['.repeat(32) + ']'.repeat(32)));
export const wide = bad('wide', () => Array(40_000).fill(0));
export const floods = bad('floods', (_input, { emit }) => {
  for (let n = 0; n < 200_000; n += 1) void emit('0123456789'.repeat(10));
  return 'done';
});
export const floods_in_big_pieces = bad('floods_in_big_pieces', (_input, { emit }) => {
  for (let n = 0; n < 100; n += 1) void emit('x'.repeat(900_000));
  return 'done';
});
export const talks_on = bad('talks_on', (_input, { emit, signal }) => {
  const timer = setInterval(() => void emit('still here '), 1);
  timer.unref();
  return 'done';
});
export const never_stops = bad('never_stops', (_input, { emit }) => {
  setInterval(() => void emit('still here '), 1).unref();
  return new Promise(() => {});
});
export const fine = bad('fine', () => 'fine');
`;

function startBadPair(nodes: Nodes, limits: { readonly worker?: ConfigInput; readonly boss?: ConfigInput } = {}) {
  return startPair(nodes, {
    ...limits,
    prepare: (worker) => {
      mkdirSync(worker.file('tools'));
      writeFileSync(worker.file('tools', 'bad.ts'), BAD_TOOLS);
    },
  });
}

test.each([
  ['throws', { code: 'internal', message: expect.not.stringContaining('hunter2') }],
  ['rejects_with_nothing', { code: 'internal' }],
  ['circular', { code: 'internal' }],
  ['bigint', { code: 'internal' }],
  ['huge', { code: 'too-large' }],
  ['deep', { code: 'invalid' }],
  ['deep_for_the_wire', { code: 'too-large', message: expect.stringContaining('32 levels') }],
  ['wide', { code: 'too-large', message: expect.stringContaining('32768 values') }],
])('of another node, a tool that is bad (%s) is an error for its caller and nothing else', async (name, error) => {
  await using nodes = new Nodes();
  const { boss } = await startBadPair(nodes);
  await expect(boss.call(`worker/${name}`, {})).rejects.toMatchObject(error);
  expect(await boss.call('worker/fine', {})).toBe('fine');
});

test('a tool that returns nothing returns null', async () => {
  await using nodes = new Nodes();
  const { boss } = await startBadPair(nodes);
  expect(await boss.call('worker/nothing', {})).toBeNull();
});

test.each(['floods', 'floods_in_big_pieces', 'talks_on'])(
  'a tool of another node that tells more than anybody takes (%s) harms neither node',
  async (name) => {
    await using nodes = new Nodes();
    const { boss } = await startBadPair(nodes);
    let shown = 0;
    const call = boss.call(`worker/${name}`, {}, undefined, (delta) => {
      shown += delta.length;
    });
    expect(await call).toBe('done');
    expect(shown).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect(await boss.call('worker/fine', {})).toBe('fine');
  },
);

test('a tool of one’s own that hangs ends when its caller stops', async () => {
  await using nodes = new Nodes();
  const { worker } = await startBadPair(nodes);
  const stop = new AbortController();
  const call = worker.call('hangs', {}, stop.signal);
  stop.abort();
  await expect(call).rejects.toMatchObject({ code: 'canceled' });
});

test.each(['hangs', 'never_stops'])(
  'a tool of another node that %s ends for its caller when the caller stops',
  async (name) => {
    await using nodes = new Nodes();
    const { boss } = await startBadPair(nodes);
    const stop = new AbortController();
    const call = boss.call(`worker/${name}`, {}, stop.signal);
    expect(await boss.call('worker/fine', {})).toBe('fine');
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: 'canceled' });
    expect(await boss.call('worker/fine', {})).toBe('fine');
  },
);

const SHORT = { agent: { toolTimeoutMs: 1_000 } };

test('a tool of one’s own that hangs ends after agent.toolTimeoutMs, and the error names it', async () => {
  await using nodes = new Nodes();
  const { worker } = await startBadPair(nodes, { worker: SHORT });
  await expect(worker.call('hangs', {})).rejects.toMatchObject({
    code: 'deadline-exceeded',
    message: 'hangs took longer than 1000 ms (agent.toolTimeoutMs)',
  });
  expect(await worker.call('fine', {})).toBe('fine');
});

test.each(['hangs', 'never_stops'])(
  'a tool of another node that %s ends after the time its own node gives it',
  async (name) => {
    await using nodes = new Nodes();
    const { worker, boss } = await startBadPair(nodes, { worker: SHORT });
    const served = worker.event('tool-served', ({ tool }) => tool === name);
    await expect(boss.call(`worker/${name}`, {})).rejects.toMatchObject({
      code: 'deadline-exceeded',
      message: expect.stringContaining('1000 ms it may take here (agent.toolTimeoutMs)'),
    });
    // Over there it has ended as well.
    expect(await served).toMatchObject({ ok: false });
  },
);

test('a tool of another node that hangs ends after agent.toolTimeoutMs of its caller, where that is shorter', async () => {
  await using nodes = new Nodes();
  const { boss } = await startBadPair(nodes, { boss: SHORT });
  await expect(boss.call('worker/hangs', {})).rejects.toMatchObject({
    code: 'deadline-exceeded',
    message: 'worker/hangs took longer than 1000 ms (agent.toolTimeoutMs)',
  });
});
