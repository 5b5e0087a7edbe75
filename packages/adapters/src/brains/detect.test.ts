import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import type { Brain } from '@skein/agent';
import { startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { brainConfig, createConfiguredBrain } from './config.ts';
import { detectBrain } from './detect.ts';

const KEY = 'sk-canary-7f3a9c2e5b1d4860';
/** A port of this machine where nothing listens. */
const NOWHERE = 'http://127.0.0.1:9';

async function textOf(brain: Brain): Promise<string> {
  const request = { system: '', messages: [{ role: 'user' as const, text: 'hi' }], tools: [] };
  let text = '';
  for await (const part of brain.respond(request, { signal: new AbortController().signal })) {
    if (part.type === 'text-delta') text += part.text;
  }
  return text;
}

test('the configured provider wins over keys and Ollama', async () => {
  await using server = await startLlmServer({ script: [{ text: 'configured' }], models: [{ name: 'llama3.2', tools: true }] });
  const config = brainConfig.parse({ provider: 'openai-compatible', model: 'mine', baseUrl: `${server.url}/v1` });
  const found = await detectBrain({ OPENAI_API_KEY: KEY }, { config, ollamaUrl: server.url });

  expect(found).toMatchObject({ provider: 'openai-compatible', model: 'mine' });
  expect(found && (await textOf(found.brain))).toBe('configured');
});

test('else the first key in the environment, at the address its variable names; the key is shown nowhere', async () => {
  await using server = await startLlmServer({ script: [{ text: 'keyed' }], apiKey: KEY });
  const environment = { ANTHROPIC_API_KEY: 'other', OPENAI_API_KEY: ` ${KEY}\n`, OPENAI_BASE_URL: `${server.url}/v1` };
  const found = await detectBrain(environment, { ollamaUrl: NOWHERE });

  expect(found).toMatchObject({ provider: 'openai', why: 'OPENAI_API_KEY is set' });
  expect(inspect(found, { depth: 9, showHidden: true }) + JSON.stringify(found)).not.toContain(KEY);
  expect(found && (await textOf(found.brain))).toBe('keyed');
});

test('a second name of a provider’s variable counts, an empty one does not', async () => {
  const found = await detectBrain({ OPENAI_API_KEY: ' ', GEMINI_API_KEY: KEY }, { ollamaUrl: NOWHERE });
  expect(found).toMatchObject({ provider: 'google', why: 'GEMINI_API_KEY is set' });
});

test('else Ollama, with a model that can use tools before one that cannot', async () => {
  const models = [{ name: 'gemma', tools: false }, { name: 'nomic-embed-text' }, { name: 'qwen3:8b', tools: true }];
  await using server = await startLlmServer({ script: [{ text: 'local' }], models });
  const found = await detectBrain({}, { ollamaUrl: server.url, ollamaTimeoutMs: 5_000 });

  expect(found).toMatchObject({ provider: 'ollama', model: 'qwen3:8b' });
  expect(found && (await textOf(found.brain))).toBe('local');
  expect(await server.nextRequest()).toMatchObject({ model: 'qwen3:8b', path: '/v1/chat/completions' });
});

test('an Ollama that lists no capabilities is judged by its models’ families', async () => {
  await using server = await startLlmServer({ script: [], models: [{ name: 'phi3' }, { name: 'llama3.2:latest' }] });
  expect(await detectBrain({}, { ollamaUrl: server.url, ollamaTimeoutMs: 5_000 })).toMatchObject({ model: 'llama3.2:latest' });
});

test('an Ollama without a model is none, nor is a port where nothing listens', async () => {
  await using server = await startLlmServer({ script: [], models: [] });
  expect(await detectBrain({}, { ollamaUrl: server.url, ollamaTimeoutMs: 5_000 })).toBeUndefined();
  expect(await detectBrain({}, { ollamaUrl: NOWHERE })).toBeUndefined();
});

test('a port that takes the connection and never answers costs no more than its timeout', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const address = silent.address();
  const port = typeof address === 'object' ? address?.port : 0;
  try {
    const start = performance.now();
    expect(await detectBrain({}, { ollamaUrl: `http://127.0.0.1:${port}`, ollamaTimeoutMs: 50 })).toBeUndefined();
    expect(performance.now() - start).toBeLessThan(5_000);
  } finally {
    silent.close();
  }
});

test('fallbacks stand in when the first fails', async () => {
  await using bad = await startLlmServer({ script: [{ fault: { type: 'status', status: 503 } }] });
  await using good = await startLlmServer({ script: [{ text: 'second' }] });
  const choice = { provider: 'openai-compatible', model: 'm' };
  const config = brainConfig.parse({
    ...choice,
    baseUrl: `${bad.url}/v1`,
    fallbacks: [{ ...choice, baseUrl: `${good.url}/v1` }],
  });
  const switches: string[] = [];
  const brain = await createConfiguredBrain(config, { environment: {}, onSwitch: ({ error }) => switches.push(error.code) });

  expect(await textOf(brain)).toBe('second');
  expect(switches).toEqual(['unavailable']);
});

test('a configuration takes no key, no unknown field and no other scheme', () => {
  const refused = (more: object) => brainConfig.safeParse({ provider: 'openai', ...more }).success === false;
  expect(brainConfig.parse({ provider: 'openai' })).toEqual({ provider: 'openai', timeoutMs: 120_000, fallbacks: [] });
  expect(refused({ apiKey: KEY })).toBe(true);
  expect(refused({ apiKeyEnv: KEY })).toBe(true);
  expect(refused({ provider: 'opnai' })).toBe(true);
  expect(refused({ baseUrl: 'file:///etc/passwd' })).toBe(true);
});

test('a variable that is named but not set is unauthenticated, and says which', async () => {
  const config = brainConfig.parse({ provider: 'openai', apiKeyEnv: 'WORK_KEY' });
  const made = createConfiguredBrain(config, { environment: { OPENAI_API_KEY: KEY } });
  await expect(made).rejects.toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('WORK_KEY') });
});

test('a key file serves when only its owner may read it, and is refused otherwise', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'key-'));
  try {
    const apiKeyFile = join(folder, 'key');
    await writeFile(apiKeyFile, `${KEY}\n`, { mode: 0o600 });
    await using server = await startLlmServer({ script: [{ text: 'by file' }], apiKey: KEY });
    const config = brainConfig.parse({ provider: 'openai', apiKeyFile, baseUrl: `${server.url}/v1` });
    expect(await textOf(await createConfiguredBrain(config, { environment: {} }))).toBe('by file');

    await chmod(apiKeyFile, 0o640);
    const made = createConfiguredBrain(config, { environment: {} });
    await expect(made).rejects.toMatchObject({ code: 'denied', message: expect.stringContaining('chmod 600') });
    const missing = createConfiguredBrain({ ...config, apiKeyFile: join(folder, 'none') }, { environment: {} });
    await expect(missing).rejects.toMatchObject({ code: 'not-found' });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('importing the package and making a brain loads no provider’s package', async () => {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { createProviderBrain } = await import(process.argv[1]);
    createProviderBrain({ provider: 'openai', apiKey: 'k' });
    console.log(JSON.stringify(loaded.filter((url) => url.includes('@ai-sdk'))), loaded.length > 5);
  `;
  const index = new URL('../index.ts', import.meta.url).href;
  const argv = ['--conditions=skein-source', '--input-type=module', '--eval', program, index];
  const child = spawn(process.execPath, argv, {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output = (await child.stdout.toArray()).join('');
  expect(output.trim()).toBe('[] true');
});
