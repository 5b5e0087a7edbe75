import { type LlmTurn, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { loadConfig } from '../src/config/load-config.ts';
import { rotateKey } from '../src/operations/rotate-key.ts';
import { Nodes, type TestHost } from './nodes.ts';
import { untilFound } from './trust-files.ts';

/** A model that never answers what it is asked first, and then plays its script. */
async function startSilent(...turns: readonly LlmTurn[]) {
  const never = Promise.withResolvers<LlmTurn>();
  const left = [...turns];
  let asked = 0;
  const llm = await startLlmServer({
    script: async () => {
      asked += 1;
      return asked === 1 ? never.promise : (left.shift() ?? { text: 'Nothing is left to say.' });
    },
  });
  const brain = { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } as const;
  return { llm, brain, [Symbol.asyncDispose]: () => llm[Symbol.asyncDispose]() };
}

/** Has a node accept work, and stops it while the model is silent; the id of the work. */
async function acceptAndStop(node: TestHost, thinking: Promise<unknown>): Promise<string> {
  const asking = node.ask('is it well?', 'chat').catch(() => undefined);
  await thinking;
  const [task] = node.host.backend.tasks();
  await node.host[Symbol.asyncDispose]();
  await asking;
  return task?.id ?? '';
}

const rotate = (node: TestHost) => rotateKey(loadConfig({ cwd: node.cwd, env: {}, overrides: { name: node.name } }));

const ended = (node: TestHost, id: string) =>
  untilFound(() =>
    node.host.backend
      .tasks()
      .find((task) => task.id === id && task.state !== 'queued' && task.state !== 'running' && task.state !== 'forwarded'),
  );

test('work that a node accepted under its former key goes on as its own, with all that its own work may use', async () => {
  await using nodes = new Nodes();
  await using model = await startSilent({ toolCalls: [{ name: 'list_files', input: {} }] }, { text: 'It is well.' });
  const node = nodes.make('node', { brain: model.brain });
  await nodes.start(node);
  const id = await acceptAndStop(node, model.llm.nextRequest());
  rotate(node);
  const again = nodes.restart(node, { brain: model.brain });
  await nodes.start(again);
  expect(await ended(again, id)).toMatchObject({ state: 'done', origin: null });
  const { outcome } = again.host.backend.task(id);
  expect(outcome).toMatchObject({ text: 'It is well.', toolCalls: [{ name: 'list_files', ok: true }] });
  expect(again.host.backend.history('chat').map(({ text }) => text)).toEqual(['is it well?', 'It is well.']);
});

test('a peer that worked for a node under its former key goes on for it under the new one, once', async () => {
  await using nodes = new Nodes();
  await using model = await startSilent({ toolCalls: [{ name: 'list_files', input: {} }] }, { text: 'It is well.' });
  const shared = { brain: model.brain, net: { share: { tools: true } } } as const;
  const central = nodes.make('central', shared);
  const config = { brain: { provider: 'none' }, net: { brainSource: 'remote' } } as const;
  const thin = nodes.make('thin', config);
  central.trusts([thin, { trust: 'tool', allowBrain: true }]);
  await nodes.start(central);
  const port = Number(new URL(central.url).port);
  thin.trusts([central, { trust: 'tool', url: central.url }]);
  await nodes.start(thin);
  const asking = thin.ask('is it well?', 'chat').catch(() => undefined);
  await model.llm.nextRequest();
  const [{ id = '' } = {}] = thin.host.backend.tasks();
  // Both go down, the one that works first: what it was given is still there, of the former key.
  await central.host[Symbol.asyncDispose]();
  await thin.host[Symbol.asyncDispose]();
  await asking;
  rotate(thin);
  const worker = nodes.restart(central, { ...shared, net: { ...shared.net, port } });
  await nodes.start(worker);
  const again = nodes.restart(thin, config);
  await nodes.start(again);
  expect(await ended(again, id)).toMatchObject({ state: 'done', origin: null, owner: { name: 'central' } });
  expect(again.host.backend.task(id).outcome).toMatchObject({ text: 'It is well.', toolCalls: [{ ok: true }] });
  expect(worker.host.backend.tasks()).toMatchObject([{ id, state: 'done', origin: { name: 'thin' } }]);
});
