import type { AgentEvent } from '@skein/agent';
import type { TurnEvent } from '@skein/gateway';
import { startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { Nodes, type TestHost } from './nodes.ts';

const answerOf = (events: readonly AgentEvent[]) => events.at(-1);
const model = (llm: { readonly url: string }) =>
  ({ provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` }) as const;
const brainless = { brain: { provider: 'none' }, net: { brainSource: 'remote' } } as const;

/** Both trust each other: `server` lets `client` have its brain, and is dialled by it. */
async function connect(nodes: Nodes, client: TestHost, ...servers: readonly TestHost[]): Promise<void> {
  client.trusts(...servers.map((server) => [server, { trust: 'tool', url: server.url }] as const));
  await nodes.start(client);
}

test('a node without a brain streams the answer of a peer that lets it use its own, and keeps the conversation', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({
    script: [{ text: 'Forty-two.' }, { text: 'I said forty-two.' }],
  });
  const central = nodes.make('central', { brain: model(llm) });
  const thin = nodes.make('thin', brainless);
  central.trusts([thin, { trust: 'tool', allowBrain: true }]);
  await nodes.start(central);
  await connect(nodes, thin, central);
  const events = await thin.ask('what is the answer?');
  expect(answerOf(events)).toMatchObject({ type: 'answer', text: 'Forty-two.' });
  expect(events.filter(({ type }) => type === 'text-delta').length).toBeGreaterThan(0);
  expect(answerOf(await thin.ask('what did you say?'))).toMatchObject({ text: 'I said forty-two.' });
  // The second request held what was said before; the conversation is kept where it was held, and nowhere else.
  expect(JSON.stringify(llm.requests[1]?.body)).toContain('Forty-two.');
  expect(thin.host.backend.history('test').map(({ text }) => text)).toEqual([
    'what is the answer?',
    'Forty-two.',
    'what did you say?',
    'I said forty-two.',
  ]);
  expect(central.host.backend.sessions()).toEqual([]);
  expect(thin.host.backend.tasks()).toMatchObject([
    { state: 'done', owner: { name: 'central' } },
    { state: 'done', owner: { name: 'central' } },
  ]);
  expect(central.host.backend.tasks()[0]).toMatchObject({ state: 'done', origin: { name: 'thin' }, owner: null });
});

test('a tool of the node that thinks is told as that node’s, with the time it took', async () => {
  await using nodes = new Nodes();
  const script = [{ toolCalls: [{ name: 'shell_exec', input: { argv: ['sleep', '0.3'] } }] }, { text: 'Rested.' }];
  await using llm = await startLlmServer({ script });
  const tools = { shell: { allow: ['sleep *'] } };
  const central = nodes.make('central', { brain: model(llm), tools, net: { share: { tools: true } } });
  const thin = nodes.make('thin', brainless);
  central.trusts([thin, { trust: 'tool', allowBrain: true }]);
  await nodes.start(central);
  await connect(nodes, thin, central);
  const events = await thin.ask('rest a while');
  const told = events.filter(({ type }) => type === 'tool-call' || type === 'tool-result');
  const ran = { name: 'shell_exec', peer: 'central' };
  expect(told).toMatchObject([ran, { ...ran, ok: true, ms: expect.any(Number) }]);
  const answer = answerOf(events);
  expect(answer).toMatchObject({ type: 'answer', toolCalls: [{ ...ran, ok: true }] });
  const times = [told[1], ...(answer?.type === 'answer' ? answer.toolCalls : [])].map(
    (one) => one !== undefined && 'ms' in one && one.ms,
  );
  expect(times).toEqual([expect.any(Number), times[0]]);
  expect(times[0]).toBeGreaterThanOrEqual(300);
});

test('a peer that was not granted the brain is told so, soon and with what to do', async () => {
  await using nodes = new Nodes();
  const central = nodes.make('central');
  const thin = nodes.make('thin', brainless);
  central.trusts([thin, { trust: 'full' }]);
  await nodes.start(central);
  await connect(nodes, thin, central);
  expect(answerOf(await thin.ask('hello'))).toMatchObject({
    type: 'error',
    code: 'unavailable',
    message: expect.stringMatching(/--allow-brain/),
  });
  expect(central.host.backend.tasks()).toEqual([]);
});

test('work for another node uses only tools that this node may use itself', async () => {
  await using nodes = new Nodes();
  const script = [{ toolCalls: [{ name: 'monitor__system_info', input: {} }] }, { text: 'It said: {{last}}' }];
  await using llm = await startLlmServer({ script, repeat: true });
  const monitor = nodes.make('monitor', { net: { share: { tools: true } } });
  const central = nodes.make('central', { brain: model(llm) });
  const thin = nodes.make('thin', brainless);
  monitor.trusts([central, { trust: 'tool' }]);
  await nodes.start(monitor);
  central.trusts([monitor, { url: monitor.url }], [thin, { trust: 'tool', allowBrain: true }]);
  await nodes.start(central);
  await central.event('tools-changed');
  await connect(nodes, thin, central);
  expect(answerOf(await thin.ask('is it well?'))).toMatchObject({
    text: expect.stringMatching(/on behalf of .* which may not use it here itself/),
    toolCalls: [{ name: 'monitor/system_info', ok: false }],
  });
  // The central node itself may, and so may the thin one once the monitor trusts it.
  expect(answerOf(await central.ask('is it well?'))).toMatchObject({ toolCalls: [{ ok: true }] });
  monitor.trusts([central, { trust: 'tool' }], [thin, { trust: 'tool' }]);
  await expect
    .poll(async () => answerOf(await thin.ask('and now?', 'again')), { timeout: 10_000 })
    .toMatchObject({ toolCalls: [{ name: 'monitor/system_info', ok: true }] });
});

test('when the node that thinks dies in the middle, another willing one goes on from its last step', async () => {
  await using nodes = new Nodes();
  await using hanging = await startLlmServer({
    script: [{ toolCalls: [{ name: 'system_info', input: {} }] }, { fault: { type: 'hang', afterEvents: 0 } }],
  });
  await using other = await startLlmServer({ script: [{ text: 'The other one finished it.' }] });
  const first = nodes.make('first', { brain: model(hanging), net: { role: 'coordinator', share: { tools: true } } });
  const second = nodes.make('second', { brain: model(other), net: { share: { tools: true } } });
  const thin = nodes.make('thin', brainless);
  for (const server of [first, second]) {
    server.trusts([thin, { trust: 'tool', allowBrain: true }]);
    await nodes.start(server);
  }
  await connect(nodes, thin, first, second);
  await expect.poll(() => thin.host.backend.peers().filter(({ brain }) => brain !== null).length).toBe(2);
  const asked = thin.ask('is it well?');
  await hanging.nextRequest();
  await hanging.nextRequest();
  const diedAtMs = performance.now();
  await first.host[Symbol.asyncDispose]();
  expect(answerOf(await asked)).toMatchObject({ type: 'answer', text: 'The other one finished it.' });
  expect(performance.now() - diedAtMs).toBeLessThan(5_000);
  // It was given what the first had found out.
  expect(JSON.stringify(other.requests[0]?.body)).toContain('system_info');
  expect(thin.host.backend.tasks()[0]).toMatchObject({ state: 'done', attempt: 2, owner: { name: 'second' } });
});

test('a task whose tool must never be repeated ends as unknown when its worker dies while the tool runs', async () => {
  await using nodes = new Nodes();
  const script = [{ toolCalls: [{ name: 'shell_exec', input: { argv: ['sleep', '60'] } }] }];
  await using llm = await startLlmServer({ script, repeat: true });
  await using other = await startLlmServer({ script: [{ text: 'must not be asked' }] });
  const tools = { shell: { allow: ['sleep *'] } };
  const first = nodes.make('first', { brain: model(llm), tools, net: { role: 'coordinator', share: { tools: true } } });
  const second = nodes.make('second', { brain: model(other) });
  const thin = nodes.make('thin', brainless);
  for (const server of [first, second]) {
    server.trusts([thin, { trust: 'tool', allowBrain: true }]);
    await nodes.start(server);
  }
  await connect(nodes, thin, first, second);
  await expect.poll(() => thin.host.backend.peers().filter(({ brain }) => brain !== null).length).toBe(2);
  const asked = thin.ask('wait a minute');
  const intents = () => {
    const [task] = thin.host.backend.tasks();
    return task === undefined ? 0 : thin.host.backend.task(task.id).steps.filter(({ event }) => event.type === 'intent').length;
  };
  await expect.poll(intents, { timeout: 10_000 }).toBe(1);
  await first.host[Symbol.asyncDispose]();
  expect(answerOf(await asked)).toMatchObject({ type: 'error', message: expect.stringContaining('nobody knows whether') });
  expect(thin.host.backend.tasks()[0]).toMatchObject({ state: 'unknown' });
  expect(other.count).toBe(0);
});

/** A node whose one place is held by a task that hangs, beside one that has room. */
async function startBusy(nodes: Nodes, llms: readonly { readonly url: string }[], net: ConfigInput['net']) {
  const [slow, quick] = llms;
  if (slow === undefined || quick === undefined) throw new Error('two models are scripted');
  const helper = nodes.make('helper', { brain: model(quick) });
  const boss = nodes.make('boss', { brain: model(slow), tasks: { concurrency: 1 }, net: { ...net } });
  helper.trusts([boss, { trust: 'tool', allowBrain: true }]);
  await nodes.start(helper);
  await connect(nodes, boss, helper);
  await expect.poll(() => boss.host.backend.peers()[0]?.brain ?? null).not.toBeNull();
  const stop = new AbortController();
  const ask = async (sessionId: string) => {
    const request = { text: 'work', sessionId, interactive: false };
    let last: TurnEvent | undefined;
    for await (const event of boss.host.backend.ask(request, { signal: stop.signal })) last = event;
    return last;
  };
  const held = ask('held').catch((error: unknown) => error);
  await expect.poll(() => boss.host.backend.net().load.running).toBe(1);
  return { boss, ask, stop: () => stop.abort(), held };
}

test('a task beyond what may wait goes to a peer with room, the oldest first', async () => {
  await using nodes = new Nodes();
  await using slow = await startLlmServer({ script: [{ fault: { type: 'hang', afterEvents: 0 } }], repeat: true });
  await using quick = await startLlmServer({ script: [{ text: 'done over there' }], repeat: true });
  const { boss, ask, stop, held } = await startBusy(nodes, [slow, quick], { taskOverflow: 'forward', maxQueuedTasks: 1 });
  const waits = ask('waits');
  await expect.poll(() => boss.host.backend.net().load).toEqual({ running: 1, queued: 1, capacity: 1 });
  const over = ask('over').catch((error: unknown) => error);
  expect(await waits).toMatchObject({ type: 'answer', text: 'done over there' });
  expect(boss.host.backend.net().load).toEqual({ running: 1, queued: 1, capacity: 1 });
  stop();
  expect(await Promise.all([held, over])).toMatchObject([{ code: 'canceled' }, { code: 'canceled' }]);
});

test('where nothing is forwarded, a task beyond what may wait is refused with when to come again', async () => {
  await using nodes = new Nodes();
  await using slow = await startLlmServer({ script: [{ fault: { type: 'hang', afterEvents: 0 } }], repeat: true });
  await using quick = await startLlmServer({ script: [{ text: 'must not be asked' }], repeat: true });
  const { boss, ask, stop, held } = await startBusy(nodes, [slow, quick], { maxQueuedTasks: 1 });
  const waits = ask('waits').catch((error: unknown) => error);
  await expect.poll(() => boss.host.backend.net().load.queued).toBe(1);
  expect(await ask('over')).toMatchObject({ type: 'error', code: 'busy', message: expect.stringContaining('maxQueuedTasks') });
  stop();
  expect(await Promise.all([held, waits])).toMatchObject([{ code: 'canceled' }, { code: 'canceled' }]);
  expect(quick.count).toBe(0);
});

test('balanced, each task goes to the brain with the least to do', async () => {
  await using nodes = new Nodes();
  await using slow = await startLlmServer({ script: [{ fault: { type: 'hang', afterEvents: 0 } }], repeat: true });
  await using quick = await startLlmServer({ script: [{ text: 'done over there' }], repeat: true });
  const { ask, stop, held } = await startBusy(nodes, [slow, quick], { brainMode: 'loadbalance' });
  expect(await Promise.all([ask('one'), ask('two')])).toMatchObject([{ text: 'done over there' }, { text: 'done over there' }]);
  stop();
  expect(await held).toMatchObject({ code: 'canceled' });
});
