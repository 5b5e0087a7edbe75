import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import type { LlmTurn } from './script.ts';
import { startLlmServer } from './server.ts';

const CALLS: LlmTurn = {
  text: 'I look 🦊 at both.',
  toolCalls: [
    { name: 'us-monitor__shell_exec', input: { command: 'df -h', note: 'ü🦊' } },
    { name: 'eu-monitor__shell_exec', input: { command: 'uptime' } },
  ],
  usage: { inputTokens: 12, outputTokens: 34 },
};
const TOOL = {
  type: 'function' as const,
  function: { name: 'us-monitor__shell_exec', description: 'runs', parameters: { type: 'object', properties: {} } },
};

test('the openai client reads text, parallel tool calls in fragments and usage from a stream', async () => {
  await using server = await startLlmServer({ script: [CALLS] });
  const client = new OpenAI({ apiKey: 'k', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const stream = client.chat.completions.stream({
    model: 'scripted',
    messages: [{ role: 'user', content: 'how full?' }],
    tools: [TOOL],
    stream_options: { include_usage: true },
  });
  const { choices, usage } = await stream.finalChatCompletion();

  expect(choices[0]?.message.content).toBe('I look 🦊 at both.');
  expect(choices[0]?.finish_reason).toBe('tool_calls');
  expect(choices[0]?.message.tool_calls?.map((call) => call.type === 'function' && call.function)).toMatchObject([
    { name: 'us-monitor__shell_exec', arguments: '{"command":"df -h","note":"ü🦊"}' },
    { name: 'eu-monitor__shell_exec', arguments: '{"command":"uptime"}' },
  ]);
  expect(usage).toEqual({ prompt_tokens: 12, completion_tokens: 34, total_tokens: 46 });
  const request = await server.nextRequest();
  expect(request).toMatchObject({ style: 'openai', model: 'scripted', tools: ['us-monitor__shell_exec'], last: 'how full?' });
  expect(request.headers.authorization).toBe('Bearer k');
  expect(await request.ended).toBe('answered');
});

test('the openai client reads an answer that is not streamed, and the model list', async () => {
  await using server = await startLlmServer({ script: [CALLS], models: [{ name: 'scripted' }] });
  const client = new OpenAI({ apiKey: 'k', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const { choices } = await client.chat.completions.create({ model: 'scripted', messages: [{ role: 'user', content: 'hi' }] });

  expect(choices[0]?.message.tool_calls).toHaveLength(2);
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['scripted']);
});

test('the openai client raises its own error class for a scripted 429', async () => {
  await using server = await startLlmServer({ script: [{ fault: { type: 'status', status: 429, retryAfter: '7' } }] });
  const client = new OpenAI({ apiKey: 'k', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const failure = client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });

  await expect(failure).rejects.toBeInstanceOf(OpenAI.RateLimitError);
});

test('the ollama client lists models and reads a streamed chat with a tool call', async () => {
  await using server = await startLlmServer({ script: [CALLS], models: [{ name: 'llama', tools: true }] });
  const client = new Ollama({ host: server.url });
  expect((await client.list()).models[0]).toMatchObject({ name: 'llama', capabilities: ['completion', 'tools'] });

  const stream = await client.chat({
    model: 'llama',
    messages: [{ role: 'user', content: 'hi' }],
    tools: [TOOL],
    stream: true,
  });
  let text = '';
  const calls: unknown[] = [];
  let outputTokens = 0;
  for await (const part of stream) {
    text += part.message.content;
    calls.push(...(part.message.tool_calls ?? []));
    if (part.done) outputTokens = part.eval_count;
  }
  expect(text).toBe('I look 🦊 at both.');
  expect(calls).toMatchObject([
    { function: { arguments: { command: 'df -h' } } },
    { function: { arguments: { command: 'uptime' } } },
  ]);
  expect(outputTokens).toBe(34);
});

test('the ollama client reads an answer that is not streamed', async () => {
  await using server = await startLlmServer({ script: [{ text: 'hello' }] });
  const { message } = await new Ollama({ host: server.url }).chat({
    model: 'llama',
    messages: [{ role: 'user', content: 'hi' }],
  });
  expect(message.content).toBe('hello');
});

test('a script that ran out answers with an error, and a repeated one begins again', async () => {
  const ask = (url: string) =>
    fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ messages: [{ content: 'x' }] }) });
  await using once = await startLlmServer({ script: [{ text: 'a' }] });
  await using again = await startLlmServer({ script: [{ text: 'saw {{last}}' }], repeat: true });

  expect([(await ask(once.url)).status, (await ask(once.url)).status]).toEqual([200, 500]);
  await ask(again.url);
  expect(await (await ask(again.url)).text()).toContain('saw x');
  expect(again.count).toBe(2);
});

test('a request without the key is refused with 401', async () => {
  await using server = await startLlmServer({ script: [{ text: 'a' }], apiKey: 'right' });
  const client = new OpenAI({ apiKey: 'wrong', baseURL: `${server.url}/v1`, maxRetries: 0 });
  const failure = client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
  await expect(failure).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
});

test('as a process it prints its port, answers from the file and ends on a signal', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llm-server-'));
  try {
    const script = join(folder, 'script.json');
    await writeFile(script, JSON.stringify({ turns: [{ text: 'from the file' }], repeat: true }));
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const child = spawn(process.execPath, ['--conditions=skein-source', main, '--script', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const ready: unknown = JSON.parse(String(line));
    expect(ready).toMatchObject({ type: 'ready', port: expect.any(Number) });
    const client = new OpenAI({ apiKey: 'k', baseURL: `${(ready as { url: string }).url}/v1` });
    const { choices } = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
    expect(choices[0]?.message.content).toBe('from the file');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
