import { startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { ExampleNetwork, thinksWith } from './example-network.ts';

test('6: a thin client answers with the brain of the central node, which uses the tools it was granted', async () => {
  await using network = await ExampleNetwork.start('6-central-brain');
  await network.tools('central', 'laptop/read_file', 'phone/read_file');
  await network.brains('laptop', 1);
  await network.brains('phone', 1);
  expect((await network.readme('what can you do?')).lines.at(-1)).toMatchObject({ type: 'answer' });
  expect((await network.readme('laptop ask "what does')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('talks/2026'),
    toolCalls: [{ name: 'laptop/read_file', peer: 'laptop', ok: true }],
  });
  const refused = (await network.readme('phone ask')).lines.at(-1);
  expect(refused).toMatchObject({ toolCalls: [{ name: 'laptop/read_file', ok: false }] });
  expect(JSON.stringify(refused)).not.toContain('talks/2026');
  // Kept where it was asked, and nowhere else.
  expect(await network.client('central').sessions()).toEqual([]);
  expect((await network.client('laptop').sessions()).length).toBeGreaterThan(0);
});

test('6: the answer streams, and the conversation goes on though the brain keeps nothing of it', async () => {
  await using llm = await startLlmServer({ script: [{ text: 'Forty-two, I would say.' }, { text: 'I said forty-two.' }] });
  await using network = await ExampleNetwork.start('6-central-brain', {
    edit: { central: thinksWith(llm) },
  });
  await network.brains('laptop', 1);
  const events = await network.ask('laptop', 'what is the answer?');
  expect(events.filter(({ type }) => type === 'text-delta').length).toBeGreaterThan(0);
  expect(events.at(-1)).toMatchObject({ type: 'answer', text: 'Forty-two, I would say.' });
  expect((await network.ask('laptop', 'what did you say?')).at(-1)).toMatchObject({ text: 'I said forty-two.' });
  expect(JSON.stringify(llm.requests[1]?.body)).toContain('Forty-two, I would say.');
});

test('6: without the central node an error soon says what is missing, and an answer it was giving goes on when it is back', async () => {
  await using llm = await startLlmServer({
    script: [{ fault: { type: 'hang', afterEvents: 0 } }, { text: 'Here I am again.' }],
  });
  await using network = await ExampleNetwork.start('6-central-brain', { edit: { central: thinksWith(llm) } });
  await network.brains('phone', 1);
  const asked = network.ask('phone', 'hello').catch((error: unknown) => [error]);
  await llm.nextRequest();
  await network.kill('central');
  const killedAtMs = performance.now();
  expect(await network.ask('phone', 'is anybody there?', 'other')).toMatchObject([
    { type: 'error', code: 'unavailable', message: expect.stringContaining('net.brainSource') },
  ]);
  expect(performance.now() - killedAtMs).toBeLessThan(8_000);
  await network.restart('central');
  expect((await asked).at(-1)).toMatchObject({ type: 'answer', text: 'Here I am again.' });
});

test('8: work goes to the brain of the named peer alone, also when another would do it', async () => {
  await using network = await ExampleNetwork.start('8-brain-sharing');
  await network.tools('gpu-box', 'desk/read_file');
  await network.brains('desk', 2);
  expect((await network.readme('what can you do?')).lines.at(-1)).toMatchObject({ type: 'answer' });
  expect((await network.readme('say on desk?')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('plumber'),
    toolCalls: [{ name: 'desk/read_file', peer: 'desk', ok: true }],
  });
  const { code, stdout } = await network.readme('tasks');
  expect(code).toBe(0);
  expect(stdout).toContain('gpu-box');
  expect((await network.client('desk').tasks()).map(({ owner }) => owner?.name)).toEqual(['gpu-box', 'gpu-box']);
  await network.kill('gpu-box');
  expect(await network.ask('desk', 'what can you do?', 'after')).toMatchObject([
    { type: 'error', code: 'unavailable', message: expect.stringContaining('gpu-box') },
  ]);
  expect(await network.client('old-server').tasks()).toEqual([]);
});
