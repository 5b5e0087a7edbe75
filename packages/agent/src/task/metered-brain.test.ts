import { expect, test } from 'vitest';
import { call, hang, type Script, ScriptedBrain, say } from '../../test/scripted-brain.ts';
import { meteredBrain, type Used } from './metered-brain.ts';

async function used(script: Script, stop?: AbortController): Promise<readonly Used[]> {
  const told: Used[] = [];
  const brain = meteredBrain(new ScriptedBrain(script), async () => (one) => void told.push(one));
  const signal = (stop ?? new AbortController()).signal;
  const request = { system: 'x'.repeat(400), messages: [], tools: [] };
  try {
    for await (const part of brain.respond(request, { signal })) {
      if (part.type === 'finish') expect(told).toHaveLength(1);
      stop?.abort();
    }
  } catch {
    expect(signal.aborted).toBe(true);
  }
  return told;
}

test('a call tells what the brain reported, before its end is passed on', async () => {
  const usage = { inputTokens: 7, outputTokens: 3 };
  expect(await used(() => [{ type: 'finish', reason: 'stop', usage }])).toMatchObject([{ reported: 10 }]);
});

test('of a brain that reports nothing it tells an estimate by length', async () => {
  const [one] = await used(say('y'.repeat(4_000)));
  expect(one?.reported).toBeUndefined();
  expect(one?.estimated).toBeGreaterThan(1_000);
});

test('one that is cut off, by its reader or its signal, is told once too', async () => {
  expect(await used(call(['a'], ['b']), new AbortController())).toHaveLength(1);
  const stop = new AbortController();
  const hanging = used(hang, stop);
  stop.abort();
  expect(await hanging).toHaveLength(1);
});
