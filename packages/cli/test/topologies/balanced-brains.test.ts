import type { AgentEvent } from '@skein/host';
import { type LlmTurn, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { ExampleNetwork, thinksWith } from './example-network.ts';

const hanging: LlmTurn = { fault: { type: 'hang', afterEvents: 0 } };

test('3: balanced, tasks land on several brains, and none is lost when one of those is killed in the middle', async () => {
  // The brains take their time, as models do: the tasks are all under way before any is done.
  const go = Promise.withResolvers<void>();
  let isQuick = true;
  const thinker = (text: string) => async (): Promise<LlmTurn> => {
    if (!isQuick) await go.promise;
    return { text };
  };
  await using alpha = await startLlmServer({ script: thinker('by alpha') });
  await using beta = await startLlmServer({ script: [hanging], repeat: true });
  await using gamma = await startLlmServer({ script: thinker('by gamma') });
  await using network = await ExampleNetwork.start('3-balanced-brains', {
    edit: { alpha: thinksWith(alpha), beta: thinksWith(beta), gamma: thinksWith(gamma) },
  });
  await network.brains('alpha', 2);
  expect((await network.readme('alpha ask')).lines.at(-1)).toMatchObject({ type: 'answer', text: 'by alpha' });
  expect(await network.readme('alpha tasks')).toMatchObject({ code: 0, stdout: expect.stringContaining('what can you do?') });
  expect((await network.readme('net status')).lines[0]).toMatchObject({ load: { running: 0, queued: 0, capacity: 1 } });
  isQuick = false;
  const asked: Promise<AgentEvent[]>[] = [];
  const more = () => {
    if (beta.count > 0 && gamma.count > 0) return true;
    asked.push(network.ask('alpha', 'work', `session-${asked.length}`));
    return false;
  };
  // How busy the others are they tell once a second; each is idle, so soon each has one.
  await expect.poll(more, { interval: 300, timeout: 10_000 }).toBe(true);
  await network.kill('beta');
  go.resolve();
  const ends = (await Promise.all(asked)).map((events) => events.at(-1));
  expect(new Set(ends.map((end) => end?.type))).toEqual(new Set(['answer']));
  const texts = new Set(ends.map((end) => (end?.type === 'answer' ? end.text : '')));
  expect(texts).toEqual(new Set(['by alpha', 'by gamma']));
  const tasks = await network.client('alpha').tasks();
  expect(tasks).toHaveLength(asked.length + 1);
  expect(tasks.every(({ state }) => state === 'done')).toBe(true);
  // What beta had begun was begun once more, elsewhere.
  expect(tasks.some(({ attempt, owner }) => attempt > 1 && owner?.name !== 'beta')).toBe(true);
});

test('3: what is more than may wait is forwarded, and what the killed node had accepted is done when it is back', async () => {
  await using alpha = await startLlmServer({ script: [hanging, { text: 'one' }, { text: 'two' }, { text: 'three' }] });
  await using others = await startLlmServer({ script: [{ text: 'done over there' }], repeat: true });
  await using network = await ExampleNetwork.start('3-balanced-brains', {
    edit: {
      alpha: (text) =>
        thinksWith(alpha)(text).replace('"loadbalance"', '"local"').replace('"maxQueuedTasks": 10', '"maxQueuedTasks": 1'),
      beta: thinksWith(others),
      gamma: thinksWith(others),
    },
  });
  await network.brains('alpha', 2);
  const load = async () => (await network.client('alpha').net()).load;
  const ask = (name: string) => network.ask('alpha', name, name).catch((error: unknown) => error);
  const held = ask('held');
  await alpha.nextRequest();
  const waits = ask('waits');
  await expect.poll(load).toMatchObject({ running: 1, queued: 1 });
  const over = ask('over');
  // The oldest of those that wait goes: somebody has waited for it the longest.
  expect(await waits).toEqual(expect.arrayContaining([expect.objectContaining({ type: 'answer', text: 'done over there' })]));
  await expect.poll(load).toMatchObject({ running: 1, queued: 1 });
  await network.kill('alpha');
  expect(await Promise.all([held, over])).toMatchObject([{ code: 'unavailable' }, { code: 'unavailable' }]);
  await network.restart('alpha');
  const ended = async () => (await network.client('alpha').tasks()).map(({ title, state }) => `${title} ${state}`).sort();
  await expect.poll(ended, { timeout: 15_000 }).toEqual(['held done', 'over done', 'waits done']);
});
