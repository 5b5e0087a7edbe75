import { startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { chooseBrain } from './choose-brain.ts';
import { loadConfig } from './config/load-config.ts';

const loaded = (
  brain:
    | { readonly provider: 'intents' }
    | { readonly provider: 'openai-compatible'; readonly baseUrl: string; readonly model: string },
) => loadConfig({ cwd: import.meta.dirname, env: {}, overrides: { name: 'here', brain } });

test('the built-in brain says how to get another, and in which file', async () => {
  const chosen = await chooseBrain(loaded({ provider: 'intents' }));
  expect(chosen?.hint).toMatch(/OPENAI_API_KEY.*brain\.provider in skein\.config\.json$/);
});

test('a brain that was chosen is not spoken against', async () => {
  await using llm = await startLlmServer({ script: [] });
  const chosen = await chooseBrain(loaded({ provider: 'openai-compatible', baseUrl: `${llm.url}/v1`, model: 'any' }));
  expect(chosen).toMatchObject({ hint: null });
});
