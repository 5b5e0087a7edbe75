import type { BrainRequest } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';
import { createProviderBrain } from './provider-brain.ts';
import { PROVIDER_IDS, providerOf } from './providers.ts';

const KEY = 'canary-key-0123456789';
const REQUEST: BrainRequest = {
  system: 'Be brief.',
  messages: [{ role: 'user', text: 'hello' }],
  tools: [{ name: 'peer/tool', description: 'A tool', input: { type: 'object' }, effect: 'read', examples: [] }],
};

test.each(PROVIDER_IDS)('%s sends its request to its address, with the key given, in a header alone', async (id) => {
  const { baseUrl, defaultModel } = providerOf(id);
  const sent: { url: string; headers: Headers; body: string }[] = [];
  const brain = createProviderBrain({
    provider: id,
    apiKey: KEY,
    model: defaultModel ?? 'some-model',
    baseUrl: baseUrl ?? 'http://gateway.test/v1',
    fetch: async (input, init) => {
      sent.push({ url: String(input), headers: new Headers(init?.headers), body: String(init?.body) });
      return new Response('{}', { status: 503 });
    },
  });
  const asked = brain.respond(REQUEST, { signal: new AbortController().signal })[Symbol.asyncIterator]().next();

  await expect(asked).rejects.toMatchObject({ code: 'unavailable' });
  await expect(asked).rejects.toBeInstanceOf(SkeinError);
  expect(sent).toHaveLength(1);
  const [request] = sent;
  expect(request?.url.startsWith(`${baseUrl ?? 'http://gateway.test/v1'}/`)).toBe(true);
  expect(`${request?.url}${request?.body}`).toContain(defaultModel ?? 'some-model');
  expect(`${request?.url}${request?.body}`).not.toContain(KEY);
  expect([...(request?.headers.values() ?? [])].some((value) => value.endsWith(KEY))).toBe(true);
});

test('xai is told to keep nothing', async () => {
  let body = '';
  const brain = createProviderBrain({
    provider: 'xai',
    apiKey: KEY,
    fetch: async (_input, init) => {
      body = String(init?.body);
      return new Response('{}', { status: 503 });
    },
  });
  const asked = brain.respond(REQUEST, { signal: new AbortController().signal })[Symbol.asyncIterator]().next();
  await expect(asked).rejects.toBeInstanceOf(SkeinError);
  expect(JSON.parse(body)).toMatchObject({ store: false });
});
