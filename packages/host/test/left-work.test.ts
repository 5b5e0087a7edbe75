import { createGatewayClient, type GatewayClient, type TurnEvent } from '@skein/gateway';
import { type LlmTurn, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';

const DEADLINE_MS = 20_000;

/** A node whose model calls a tool, and then waits for the gate before it answers. */
async function startSlow(answer: LlmTurn = { text: 'It is well.' }) {
  await using stack = new AsyncDisposableStack();
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  const llm = stack.use(
    await startLlmServer({
      script: async () => {
        asked += 1;
        if (asked === 1) return { text: 'Looking. ', toolCalls: [{ name: 'system_info', input: {} }] };
        await gate.promise;
        return answer;
      },
    }),
  );
  const nodes = stack.use(new Nodes());
  const config = { brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } } as const;
  const node = nodes.make('node', config);
  await nodes.start(node);
  const life = stack.move();
  return { nodes, node, llm, config, answer: gate.resolve, [Symbol.asyncDispose]: () => life.disposeAsync() };
}

function clientOf({ host }: TestHost): GatewayClient {
  const baseUrl = `http://127.0.0.1:${host.backend.status().port}`;
  return createGatewayClient({ baseUrl, token: host.token, fetch });
}

/** Asks over HTTP, reads up to the first tool result, and breaks the connection. */
async function askAndLeave(client: GatewayClient, sessionId: string): Promise<string> {
  let id = '';
  for await (const event of client.ask({ text: 'is it well?', sessionId })) {
    if (event.type === 'task-accepted') id = event.id;
    if (event.type === 'tool-result') break;
  }
  return id;
}

async function collect(events: AsyncIterable<TurnEvent>, onResult = () => {}): Promise<TurnEvent[]> {
  const all: TurnEvent[] = [];
  for await (const event of events) {
    all.push(event);
    if (event.type === 'tool-result') onResult();
  }
  return all;
}

const kinds = (events: readonly TurnEvent[]) => events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
const WHOLE = ['task-accepted', 'turn-start', 'text-delta', 'tool-call', 'tool-result', 'text-delta', 'answer'];

test('work goes on when whoever asked is gone, and is told from its beginning to all who come back', async () => {
  await using net = await startSlow();
  const client = clientOf(net.node);
  const id = await askAndLeave(client, 'chat');
  expect(await client.task(id)).toMatchObject({ state: 'running' });
  let reading = 0;
  const onResult = () => {
    reading += 1;
    if (reading === 2) net.answer();
  };
  const back = [collect(client.watchTask(id), onResult), collect(client.watchTask(id.slice(0, 8)), onResult)];
  for (const events of await Promise.all(back)) {
    expect(kinds(events)).toEqual(WHOLE);
    expect(events[0]).toEqual({ type: 'task-accepted', id, sessionId: 'chat', text: 'is it well?' });
    expect(events.at(-1)).toMatchObject({ type: 'answer', text: 'It is well.' });
  }
  expect((await client.history('chat')).at(-1)).toEqual({ role: 'assistant', text: 'It is well.' });
  // One that has ended is told as its steps and its answer.
  expect((await collect(client.watchTask(id))).at(-1)).toMatchObject({ type: 'answer', text: 'It is well.' });
});

test('only what is canceled ends, over there too', { timeout: DEADLINE_MS }, async () => {
  await using net = await startSlow();
  const client = clientOf(net.node);
  const id = await askAndLeave(client, 'chat');
  await net.llm.nextRequest();
  const thinking = await net.llm.nextRequest();
  const watching = collect(client.watchTask(id));
  expect(await client.cancelTask(id)).toBe('canceled');
  expect((await watching).at(-1)).toMatchObject({ type: 'error', code: 'canceled' });
  expect(await thinking.ended).toBe('closed');
});

test('work that was left goes on when the node is back, and what was done before is told', async () => {
  await using net = await startSlow();
  const id = await askAndLeave(clientOf(net.node), 'chat');
  await net.llm.nextRequest();
  await net.llm.nextRequest();
  await net.node.host[Symbol.asyncDispose]();
  const again = net.nodes.restart(net.node, net.config);
  await net.nodes.start(again);
  const watching = collect(clientOf(again).watchTask(id));
  net.answer();
  const events = await watching;
  expect(events.filter(({ type }) => type === 'tool-call')).toHaveLength(1);
  expect(events).toContainEqual(expect.objectContaining({ type: 'tool-result', name: 'system_info', ok: true }));
  expect(events.at(-1)).toMatchObject({ type: 'answer', text: 'It is well.' });
});

test('the same id is the same work, whoever asks again after a lost connection', async () => {
  await using net = await startSlow();
  const client = clientOf(net.node);
  const id = '0f3c0000-0000-4000-8000-00000000000a';
  for await (const event of client.ask({ id, text: 'is it well?', sessionId: 'chat' })) if (event.type === 'tool-result') break;
  const again = collect(client.ask({ id, text: 'is it well?', sessionId: 'chat' }), net.answer);
  expect(kinds(await again)).toEqual(WHOLE);
  expect(await client.tasks()).toHaveLength(1);
  expect(net.llm.count).toBe(2);
});

test('one who hangs up before it was told that it is accepted has not asked', async () => {
  await using net = await startSlow();
  const { backend } = net.node.host;
  const stop = new AbortController();
  const events = backend.ask({ text: 'is it well?', sessionId: 'chat', interactive: false }, { signal: stop.signal });
  const first = events[Symbol.asyncIterator]().next();
  stop.abort();
  await expect(first).rejects.toBeDefined();
  expect(backend.tasks().filter(({ state }) => state !== 'canceled')).toEqual([]);
});

test('many who watch and leave keep no place, and stop nothing', async () => {
  await using net = await startSlow();
  const client = clientOf(net.node);
  const id = await askAndLeave(client, 'chat');
  for (let round = 0; round < 3; round += 1) {
    const stops = Array.from({ length: 40 }, () => new AbortController());
    await Promise.all(
      stops.map(async (stop) => {
        for await (const event of client.watchTask(id, { signal: stop.signal })) if (event.type === 'tool-result') break;
        stop.abort();
      }),
    );
  }
  const last = collect(client.watchTask(id));
  net.answer();
  expect((await last).at(-1)).toMatchObject({ type: 'answer' });
});

test('what needs a yes is asked of whoever comes back, and nobody can answer it once the work is over', async () => {
  await using llm = await startLlmServer({
    script: [{ toolCalls: [{ name: 'shell_exec', input: { argv: ['echo', 'done'] } }] }, { text: 'Done.' }],
  });
  await using nodes = new Nodes();
  const node = nodes.make('node', {
    brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
    agent: { confirmBeforeAct: true },
    tools: { shell: { allow: ['echo *'] } },
  });
  await nodes.start(node);
  const client = clientOf(node);
  let id = '';
  for await (const event of client.ask({ text: 'do it', sessionId: 'chat', interactive: true })) {
    if (event.type === 'task-accepted') id = event.id;
    // The question is not told yet, or nobody reads it.
    if (event.type === 'tool-call') break;
  }
  let question = '';
  const results: TurnEvent[] = [];
  for await (const event of client.watchTask(id)) {
    if (event.type === 'confirm-request') {
      question = event.id;
      await client.confirm(question, true);
    }
    if (event.type === 'tool-result') results.push(event);
  }
  expect(results).toMatchObject([{ ok: true }]);
  expect(await collect(client.watchTask(id))).not.toHaveLength(0);
  await expect(client.confirm(question, true)).rejects.toMatchObject({ code: 'not-found' });
});
