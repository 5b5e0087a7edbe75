import { type LlmTurn, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { Nodes, startPair } from './nodes.ts';

const ASK_SYSTEM_INFO = { toolCalls: [{ name: 'worker__system_info', input: {} }] };

/** A node whose model plays this script, a peer with tools, and the last event of one turn. */
async function lastEvent(script: readonly LlmTurn[], agent: ConfigInput['agent'] = {}) {
  await using llm = await startLlmServer({ script, repeat: true });
  await using nodes = new Nodes();
  const { boss } = await startPair(nodes, {
    boss: { brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` }, agent },
  });
  const last = (await boss.ask('is worker well?')).at(-1);
  const said = boss.host.backend.history('test').map(({ role }) => role);
  // Whatever its brain does, the node goes on.
  expect(await boss.call('worker/system_info', {})).toBeDefined();
  return { last, said, asked: llm.count };
}

test.each<[string, LlmTurn, string]>([
  ['refuses its key', { fault: { type: 'status', status: 401 } }, 'unauthenticated'],
  ['fails', { fault: { type: 'status', status: 500 } }, 'unavailable'],
  ['cuts the connection', { fault: { type: 'reset' } }, 'unavailable'],
  ['stops in the middle', { text: 'It is', fault: { type: 'truncated' } }, 'unavailable'],
  ['answers with a web page', { fault: { type: 'html' } }, 'unavailable'],
  ['answers with nothing', { text: '' }, 'unavailable'],
])('a model that %s is an error with its code, and never an answer', async (_, turn, code) => {
  const { last, said } = await lastEvent([turn]);
  expect(last).toMatchObject({ type: 'error', code });
  expect(said).toEqual(['user']);
});

test('a model that hangs ends with the turn’s deadline', async () => {
  const { last } = await lastEvent([{ fault: { type: 'hang' } }], { turnTimeoutMs: 1_000 });
  expect(last).toMatchObject({ type: 'error', code: 'deadline-exceeded' });
});

test.each<[string, LlmTurn['toolCalls']]>([
  ['that does not exist', [{ name: 'worker__format_disk', input: {} }]],
  ['of a peer that does not exist', [{ name: 'nobody__system_info', input: {} }]],
  ['with arguments that are not JSON', [{ name: 'worker__shell_exec', rawInput: '{"command": "df' }]],
  ['with arguments its schema refuses', [{ name: 'worker__shell_exec', input: { comand: 'df' } }]],
])('a model that calls a tool %s is told so and goes on', async (_, toolCalls) => {
  const { last, asked } = await lastEvent([{ ...(toolCalls && { toolCalls }) }, { text: 'I cannot.' }]);
  expect(last).toMatchObject({ type: 'answer', text: 'I cannot.', toolCalls: [{ ok: false }] });
  expect(asked).toBe(2);
});

test('a model that calls tools without end ends at the limit of steps', async () => {
  const { last, asked } = await lastEvent([ASK_SYSTEM_INFO], { maxIterations: 3 });
  expect(last).toMatchObject({ type: 'error', code: 'too-large' });
  expect(asked).toBe(3);
});

test('a model that has used up the tokens of a turn is asked at most once more', async () => {
  const turn = { ...ASK_SYSTEM_INFO, usage: { inputTokens: 900, outputTokens: 50 } };
  const { last, asked } = await lastEvent([turn], { maxTurnTokens: 1_000 });
  expect(last).toMatchObject({ type: 'error', code: 'too-large', message: expect.stringContaining('maxTurnTokens') });
  expect(asked).toBe(2);
});
