import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { AgentEvent } from '@skein/agent';
import { SpecVole, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf } from './trust-files.ts';
import { startWithVole, trustLine, voleNameOf, type WithVole } from './vole-peers.ts';

const answerOf = (events: readonly AgentEvent[]) => events.at(-1);
const model = (llm: { readonly url: string }) =>
  ({ provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` }) as const;
const found = async (node: TestHost, query: string) => (await node.call('memory_search', { query })) as Record<string, unknown>;

/** A node without a brain of its own, and an OpenVole node whose brain it uses. */
function startThin(nodes: Nodes, vole: WithVole['vole'], more: object = {}) {
  const config = { brain: { provider: 'none' }, net: { brainSource: 'vole' }, ...more } as const;
  return startWithVole(nodes, { config, vole: { allowBrain: true, ...vole } });
}

test('a task of an OpenVole node is done by our brain, and the same one again is answered the same and not done again', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({ script: [{ text: 'Forty-two.' }, { text: 'must not be asked' }] });
  await using net = await startWithVole(nodes, { config: { brain: model(llm) } });
  const task = { taskId: 'any text', input: 'what is the answer?', context: 'it is a joke' };
  expect(await net.ask('task:delegate', task, 'task:result')).toMatchObject({ status: 'completed', result: 'Forty-two.' });
  const again = net.vole.received.next(({ type }) => type === 'task:result');
  await net.vole.send('task:delegate', net.id, task);
  expect((await again).payload).toMatchObject({ status: 'completed', result: 'Forty-two.' });
  expect(llm.requests).toHaveLength(1);
  expect(JSON.stringify(llm.requests[0]?.body)).toContain('it is a joke');
  expect(net.node.host.backend.tasks()).toMatchObject([{ state: 'done', origin: { name: 'vole' }, owner: null }]);
  // Its conversation is its own: none of ours.
  expect(net.node.host.backend.sessions()).toEqual([]);
});

test('a task for an OpenVole node uses only tools that it may use itself', async () => {
  await using nodes = new Nodes();
  const script = [{ toolCalls: [{ name: 'system_info', input: {} }] }, { text: 'It said: {{last}}' }];
  await using llm = await startLlmServer({ script, repeat: true });
  await using net = await startWithVole(nodes, { config: { brain: model(llm) }, trust: 'trust=read,allow-brain' });
  const end = await net.ask('task:delegate', { taskId: 't1', input: 'is it well?' }, 'task:result');
  expect(end.status).toBe('completed');
  expect(end.result).not.toContain('hostname');
});

test('an OpenVole node without the brain grant gets no task done, is told so, and it is recorded', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({ script: [{ text: 'must not be asked' }] });
  await using net = await startWithVole(nodes, { config: { brain: model(llm) }, trust: 'trust=full' });
  const end = await net.ask('task:delegate', { taskId: 't1', input: 'think' }, 'task:result');
  expect(end).toMatchObject({ status: 'failed', error: expect.stringContaining('allow-brain') });
  expect(llm.requests).toEqual([]);
  expect(await audited(net.node, 'vole-refused')).toMatchObject({ peer: net.peer, reason: expect.stringContaining('brain') });
});

test('a node without a brain has an OpenVole node think for it, and keeps the conversation', async () => {
  await using nodes = new Nodes();
  await using net = await startThin(nodes, {});
  const { node, vole } = net;
  expect(answerOf(await node.ask('what is the answer?'))).toMatchObject({ type: 'answer', text: 'did: what is the answer?' });
  await node.ask('and now?');
  // What was said before goes along.
  const asked = vole.received.items.filter(({ type }) => type === 'task:delegate').map(({ payload }) => payload.input);
  expect(asked[1]).toMatch(/what is the answer\?.*did: what is the answer\?.*and now\?/s);
  expect(node.host.backend.tasks()).toMatchObject([{ state: 'done', owner: { name: 'vole' } }, { state: 'done' }]);
  expect(node.host.backend.history('test')).toHaveLength(4);
});

test('with any peer’s brain to be used, an OpenVole node is one where nobody of ours is willing', async () => {
  await using nodes = new Nodes();
  await using net = await startThin(nodes, {}, { net: { brainSource: 'remote' } });
  expect(answerOf(await net.node.ask('hello'))).toMatchObject({ type: 'answer', text: 'did: hello' });
});

test('an OpenVole node that does not let its brain be used says so, and is left alone for a while', async () => {
  await using nodes = new Nodes();
  await using net = await startThin(nodes, { allowBrain: false });
  expect(answerOf(await net.node.ask('hello'))).toMatchObject({ type: 'error', code: 'denied' });
  expect(net.node.host.backend.tasks()).toMatchObject([{ state: 'failed' }]);
  expect(answerOf(await net.node.ask('hello'))).toMatchObject({ type: 'error', code: 'unavailable' });
  expect(net.vole.received.items.filter(({ type }) => type === 'task:delegate')).toHaveLength(1);
});

test('a task whose OpenVole node is lost meanwhile ends as unknown, and is given to nobody else', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({ script: [{ text: 'must not be asked' }] });
  await using net = await startThin(nodes, { think: () => new Promise(() => {}) }, { brain: model(llm) });
  const asked = net.node.ask('hello');
  await net.vole.received.find(({ type }) => type === 'task:delegate');
  net.vole.cut();
  expect(answerOf(await asked)).toMatchObject({ type: 'error', message: expect.stringContaining('nobody knows') });
  expect(net.node.host.backend.tasks()).toMatchObject([{ state: 'unknown' }]);
  expect(llm.requests).toEqual([]);
});

test('a task that an OpenVole node answers with more than is taken ends as unknown at once, and is given to nobody else', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({ script: [{ text: 'must not be asked' }] });
  await using net = await startThin(nodes, { think: () => 'x'.repeat(400_001) }, { brain: model(llm) });
  expect(answerOf(await net.node.ask('hello'))).toMatchObject({
    type: 'error',
    message: expect.stringContaining('vole answered with something that cannot be taken here'),
  });
  expect(net.node.host.backend.tasks()).toMatchObject([{ state: 'unknown' }]);
  expect(await audited(net.node, 'vole-refused')).toMatchObject({ peer: net.peer });
  expect(llm.requests).toEqual([]);
});

test('a task that is canceled, or out of time, ends so, and says that it may go on over there', async () => {
  await using nodes = new Nodes();
  await using net = await startThin(nodes, { think: () => new Promise(() => {}) }, { agent: { turnTimeoutMs: 1_000 } });
  const { node, vole } = net;
  const first = node.ask('one');
  await vole.received.find(({ payload, type }) => type === 'task:delegate' && payload.input === 'one');
  expect(answerOf(await first)).toMatchObject({ type: 'error', code: 'deadline-exceeded' });
  const second = node.ask('two', 'other');
  await vole.received.find(({ payload, type }) => type === 'task:delegate' && payload.input === 'two');
  const [latest] = node.host.backend.tasks();
  expect(await node.host.backend.cancelTask(latest?.id ?? '')).toBe('canceled');
  expect(answerOf(await second)).toMatchObject({ type: 'error', message: expect.stringContaining('nobody knows') });
  expect(node.host.backend.tasks()).toMatchObject([{ state: 'canceled' }, { state: 'failed' }]);
});

test('a task that an OpenVole node had when this node was killed ends as unknown, and is not asked for twice', async () => {
  await using nodes = new Nodes();
  await using net = await startThin(nodes, { think: () => new Promise(() => {}) });
  const { node, vole } = net;
  const asked = node.ask('hello').catch((error: unknown) => error);
  await vole.received.find(({ type }) => type === 'task:delegate');
  // Its disk as it is in this moment is what a kill would leave.
  const disk = path.join(nodes.root, 'disk');
  cpSync(node.file(), disk, { recursive: true });
  await node.host[Symbol.asyncDispose]();
  await asked;
  rmSync(node.file(), { recursive: true });
  renameSync(disk, node.file());
  rmSync(node.file('running.json'), { force: true });
  // Where runs of the system have no name, nothing is heard after a kill for up to 10 s: not what this is about.
  rmSync(node.file('volenet', 'vole-replay.json'), { force: true });
  const again = nodes.restart(node, {
    brain: { provider: 'none' },
    net: { volenet: true, brainSource: 'vole', peers: [{ url: vole.url, dialect: 'volenet' }] },
  });
  await nodes.start(again);
  await expect.poll(() => again.host.backend.tasks(), { timeout: 10_000 }).toMatchObject([{ state: 'unknown' }]);
  expect(vole.received.items.filter(({ type }) => type === 'task:delegate')).toHaveLength(1);
});

test('a task of another node is not given to an OpenVole node: it is refused at once', async () => {
  await using nodes = new Nodes();
  await using net = await startThin(nodes, {});
  const { node, vole } = net;
  await using other = await new SpecVole({ name: 'other' }).start();
  const lines = [trustLine(vole, 'trust=full'), trustLine(other, 'trust=full,allow-brain')];
  writeFileSync(node.file('authorized_peers'), `${lines.join('\n')}\n`, { mode: 0o600 });
  await audited(node, 'trust-added');
  other.trust(voleNameOf(node).line);
  await other.dial(net.id, net.http);
  await other.send('task:delegate', net.id, { taskId: 't1', input: 'think' });
  const { payload } = await other.received.find(({ type }) => type === 'task:result');
  expect(payload).toMatchObject({ status: 'failed', error: expect.stringContaining('no brain') });
  expect(vole.received.items.filter(({ type }) => type === 'task:delegate')).toEqual([]);
});

test('turns that an OpenVole node held are in the same conversation here, and ours are sent to it once', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  const at = Date.now();
  await vole.send('session:sync', net.id, { sessionId: 'talk', role: 'user', content: 'hello there', timestamp: at });
  await vole.send('session:sync', net.id, { sessionId: 'talk', role: 'brain', content: 'hello yourself', timestamp: at + 1 });
  const history = () => node.host.backend.history('talk').map(({ role, text }) => `${role}: ${text}`);
  await expect.poll(history).toEqual(['user: hello there', 'assistant: hello yourself']);
  await node.ask('what do you remember', 'talk');
  await vole.received.find(({ type, payload }) => type === 'session:sync' && payload.role === 'brain');
  const sent = vole.received.items.filter(({ type }) => type === 'session:sync').map(({ payload }) => payload);
  expect(sent).toMatchObject([
    { sessionId: 'talk', role: 'user', content: 'what do you remember' },
    { sessionId: 'talk', role: 'brain', content: history()[3]?.slice('assistant: '.length) },
  ]);
  // They tell turns apart by their time alone.
  expect(new Set(sent.map(({ timestamp }) => timestamp)).size).toBe(2);
});

test('nothing of a conversation or a memory comes or goes where it is not shared', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { config: { net: { share: { tools: true } } } });
  const { node, vole } = net;
  await vole.send('session:sync', net.id, { sessionId: 'talk', role: 'user', content: 'hello', timestamp: 1 });
  await vole.send('memory:sync', net.id, { file: 'M', content: 'the door is open', mode: 'append', timestamp: 1 });
  await node.ask('what do you remember');
  await node.call('memory_write', { text: 'the key is under the mat' });
  expect(await net.ask('memory:search', { query: 'key', requestId: 'r1' }, 'memory:results')).toMatchObject({ results: [] });
  // The answer to a later question says that what came before was taken or not.
  await net.call({ name: 'system_info', params: {} });
  expect(node.host.backend.history('talk')).toEqual([]);
  expect(await found(node, 'door')).toMatchObject({ facts: [] });
  expect(vole.received.items.filter(({ type }) => /:sync$|memory:search$/.test(type))).toEqual([]);
});

test('what an OpenVole node remembers is a fact here with its author, and not trusted; ours goes to it and no echo comes', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { vole: { remember: () => [] } });
  const { node, vole } = net;
  const entry = {
    file: 'MEMORY.md',
    source: 'user',
    content: 'The printer is on floor 3',
    mode: 'append',
    timestamp: 1,
    version: 1,
  };
  await vole.send('memory:sync', net.id, entry);
  await expect
    .poll(async () => (await found(node, 'printer')).facts)
    .toMatchObject([{ author: net.peer, authorName: 'vole', trusted: false, source: expect.stringContaining('MEMORY.md') }]);
  await node.call('memory_write', { text: 'The scanner is on floor 4' });
  const told = await vole.received.find(({ type }) => type === 'memory:sync');
  // Added to what is there, never in its place.
  expect(told.payload).toMatchObject({ content: 'The scanner is on floor 4', mode: 'append', instanceId: net.id });
  await net.call({ name: 'system_info', params: {} });
  expect(vole.received.items.filter(({ type }) => type === 'memory:sync')).toHaveLength(1);
});

test('an OpenVole node that may only read writes nothing into the memory', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { trust: 'trust=tool' });
  await net.vole.send('memory:sync', net.id, { file: 'M', content: 'the vault is open', mode: 'overwrite', timestamp: 1 });
  expect(await audited(net.node, 'vole-refused')).toMatchObject({ reason: expect.stringContaining('memory-write') });
  expect(await found(net.node, 'vault')).toMatchObject({ facts: [] });
});

test('a search of the memory asks OpenVole nodes too, and answers theirs', async () => {
  await using nodes = new Nodes();
  const remember = () => [{ file: 'notes.md', source: 'user', score: 0.9, snippet: 'The attic is locked' }];
  await using net = await startWithVole(nodes, { vole: { remember } });
  expect(await found(net.node, 'attic')).toMatchObject({
    facts: [{ text: expect.stringContaining('The attic is locked'), author: net.peer, trusted: false, foundAt: 'vole' }],
  });
  await net.node.call('memory_write', { text: 'The cellar is open' });
  const answer = await net.ask('memory:search', { query: 'cellar', requestId: 'r1', limit: 5 }, 'memory:results');
  expect(answer).toMatchObject({ instanceName: 'ours', results: [{ snippet: 'The cellar is open' }] });
});

test('an OpenVole node that answers no search is named, and the next search does not wait for it', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  expect(await found(net.node, 'attic')).toMatchObject({ unanswered: [{ peer: 'vole' }] });
  const startedMs = performance.now();
  expect(await found(net.node, 'attic')).toMatchObject({ unanswered: [{ peer: 'vole' }] });
  // A search that waits for it takes five.
  expect(performance.now() - startedMs).toBeLessThan(4_500);
  expect(net.vole.received.items.filter(({ type }) => type === 'memory:search')).toHaveLength(1);
});

test('a chat message of an OpenVole node is told to people, and its text is in no audit record', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const said = net.node.event('chat-message');
  await net.vole.send('chat:message', net.id, { text: 'lunch?', fromName: 'Ann' });
  expect(await said).toMatchObject({ name: 'vole', id: net.peer, text: 'lunch?' });
  expect(JSON.stringify(auditOf(net.node))).not.toContain('lunch');
  expect(await audited(net.node, 'chat')).toMatchObject({ peer: net.peer });
});

test('an OpenVole node hears that this node leads, and leads nobody here by saying so', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  await vole.send('leader:heartbeat', net.id, { timestamp: Date.now() });
  await vole.send('leader:claim', net.id, {});
  await net.call({ name: 'system_info', params: {} });
  expect(vole.received.items.filter(({ type }) => type === 'leader:ack')).toEqual([]);
  const leader = () => node.host.backend.net().leader;
  await expect.poll(() => leader()?.isMe, { timeout: 30_000 }).toBe(true);
  await vole.received.find(({ type }) => type === 'leader:heartbeat');
  expect(leader()?.leader?.name).toBe('ours');
}, 60_000);

test('what is written while two nodes of ours also have a session goes to each other once', async () => {
  await using nodes = new Nodes();
  const share = { memory: true, session: true };
  const left = nodes.make('left', { net: { volenet: true, share } });
  const first = nodes.make('right', { net: { share } });
  left.trusts([first, { trust: 'full' }]);
  await nodes.start(left);
  first.trusts([left, { trust: 'full', url: left.url }]);
  // The one address is dialled by our own protocol, the other by VoleNet's: both are met.
  const vole = left.url.replace('127.0.0.1', 'localhost');
  const right = nodes.restart(first, { net: { share, peers: [{ url: vole, dialect: 'volenet' }] } });
  await nodes.start(right);
  await expect.poll(() => auditOf(right).filter(({ event }) => event === 'peer-joined').length).toBe(2);
  await right.ask('what do you remember', 'talk');
  const history = () => left.host.backend.history('talk').map(({ role }) => role);
  await expect.poll(history).toEqual(['user', 'assistant']);
  // Whatever went the other way is there by the time of a later answer.
  await right.call('memory_write', { text: 'The boat is red' });
  await expect.poll(async () => (await found(left, 'boat')).facts).toHaveLength(1);
  expect(history()).toEqual(['user', 'assistant']);
});
