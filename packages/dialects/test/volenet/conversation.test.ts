import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { VolePeer } from '@skein/dialects';
import { SpecVole, type SpecVoleOptions, VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { VoleNode, type VoleNodeOptions } from './vole-node.ts';

const ALL = ['tools', 'brain', 'memory-read', 'memory-write', 'sessions', 'chat'] as const;

/** One of ours and a VoleNet node that trust each other and are not connected. */
async function pair(ours: VoleNodeOptions = {}, theirs: SpecVoleOptions = {}) {
  const stack = new AsyncDisposableStack();
  const vole = stack.use(await new SpecVole({ tools: { echo: (params) => params }, ...theirs }).start());
  const node = stack.use(await VoleNode.start({ tools: { shout: ({ text }) => String(text).toUpperCase() }, ...ours }));
  const peer = node.trust(vole.line, ...ALL);
  vole.trust(node.net.line);
  return { vole, node, peer, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Stands before a node, lets no WebSocket through, and has it too busy for the first message of a type. */
async function busyOnce(url: string, type: string) {
  let isBusy = true;
  const passed: string[] = [];
  const server = createServer(async (request, response) => {
    const body = (await request.toArray()).join('');
    const isMeant = body.includes(`"${type}"`);
    if (isMeant && isBusy) {
      isBusy = false;
      response.writeHead(429).end();
      return;
    }
    if (isMeant) passed.push(body);
    const { method = 'GET' } = request;
    const answer = await fetch(`${url}${request.url}`, { method, ...(body === '' ? {} : { body }) });
    response.writeHead(answer.status).end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Proven: a server listening on a host and port has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    passed,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('a VoleNet node that is dialled', () => {
  it('is met, offers its tools under its name, and runs one', async () => {
    await using net = await pair();
    const { node, vole, peer } = net;
    node.connectTo({ url: vole.url });
    const met = await node.hasTools(peer);
    expect(met.tools.map(({ descriptor }) => descriptor.name)).toEqual(['echo']);
    expect(met.tools[0]?.peer).toEqual({ name: 'vole', id: peer });
    expect(met.transport).toBe('websocket');
    expect(await met.callTool('echo', { b: [1, 2, { y: 1, x: 'é' }], a: 'hi' })).toEqual({
      b: [1, 2, { y: 1, x: 'é' }],
      a: 'hi',
      __caller: { instanceId: node.id, name: 'us' },
    });
  });

  it('calls our tools over the socket we opened, with the caller its key proves', async () => {
    await using net = await pair();
    const { node, vole, peer } = net;
    node.connectTo({ url: vole.url });
    await node.joined(peer);
    await vole.received.find(({ type }) => type === 'tool:list');
    await vole.send('tool:list', node.id, {});
    const list = await vole.received.find(({ type }) => type === 'tool:list:response');
    expect(list.payload).toMatchObject([{ name: 'shout', pawName: 'skein', instanceId: node.id, instanceName: 'skein' }]);
    expect(list.payload[0].description).toContain('"text"');
    await vole.send('tool:call', node.id, {
      callId: 'c1',
      toolName: 'shout',
      params: { text: 'hi', __caller: { instanceId: 'somebody', name: 'else' } },
    });
    const result = await vole.received.find(({ type }) => type === 'tool:result');
    expect(result.payload).toEqual({ callId: 'c1', success: true, output: 'HI' });
    expect(node.calls).toEqual([{ peer, name: 'shout', input: { text: 'hi' } }]);
  });

  it('says which tool it does not have', async () => {
    await using net = await pair();
    net.node.connectTo({ url: net.vole.url });
    const met = await net.node.joined(net.peer);
    await expect(met.callTool('nothing', {})).rejects.toMatchObject({ code: 'not-found' });
  });

  it('takes a task when it allows its brain, and refuses it with words when not', async () => {
    await using willing = await pair({}, { allowBrain: true });
    willing.node.connectTo({ url: willing.vole.url });
    const met = await willing.node.joined(willing.peer);
    expect(await met.delegate({ input: 'count' })).toEqual({ status: 'completed', result: 'did: count' });
    await using not = await pair();
    not.node.connectTo({ url: not.vole.url });
    expect(await (await not.node.joined(not.peer)).delegate({ input: 'count' })).toEqual({
      status: 'failed',
      error: 'Brain access not allowed',
    });
  });

  it('is reached over HTTP where a proxy lets no WebSocket through', async () => {
    await using net = await pair({ announceEndpoint: true }, { noWebSocket: true, announceEndpoint: true });
    const { node, vole, peer } = net;
    // It would dial back at once; here it is behind something that only lets HTTP through, both ways.
    vole.dial = () => Promise.reject(new Error('no sockets'));
    node.connectTo({ url: vole.url });
    const met = await node.hasTools(peer);
    expect(met.transport).toBe('http');
    expect(await met.callTool('echo', { a: 1 })).toMatchObject({ a: 1 });
    expect(met.notProtected.join()).toContain('HTTP');
  });

  it('is met over HTTP again when a socket of its own came and went', async () => {
    const clock = new VirtualClock();
    await using net = await pair({ clock }, { noWebSocket: true, now: () => clock.now() });
    const { node, vole, peer } = net;
    node.connectTo({ url: vole.url });
    const met = await node.joined(peer);
    const socket = await vole.dial(node.id, node.url);
    await vole.sent.find(({ type }) => type === 'pong');
    while (met.transport !== 'websocket') await clock.advance(0);
    const left = node.events.next(({ type }) => type === 'peer-left');
    socket.terminate();
    await left;
    for (let ms = 0; ms < 30_000 && !met.isConnected; ms += 20) await clock.advance(20);
    expect(met.transport).toBe('http');
  });

  it('gets the list of tools at last when it could not take it at once', async () => {
    const clock = new VirtualClock();
    await using net = await pair({ clock }, { echoes: true, now: () => clock.now() });
    const { node, vole, peer } = net;
    await using front = await busyOnce(vole.url, 'tool:list:response');
    node.connectTo({ url: front.url });
    await node.joined(peer);
    await node.refusal('busy');
    for (let ms = 0; ms < 10_000 && front.passed.length === 0; ms += 20) await clock.advance(20);
    expect(front.passed).toHaveLength(1);
  });

  it('is refused when another key answers than the configured one', async () => {
    await using net = await pair();
    await using other = await new SpecVole({ name: 'other' }).start();
    const otherId = net.node.trust(other.line, ...ALL);
    net.node.connectTo({ url: net.vole.url, key: otherId });
    const event = await net.node.events.find(({ type }) => type === 'problem');
    expect(event).toMatchObject({ error: { code: 'unauthenticated' } });
    expect(net.node.net.peers).toEqual([]);
  });
});

describe('a VoleNet node that dials', () => {
  it('finds us by our inline answer, dials back, and both call each other', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    const inline = await vole.announceTo(node.url);
    expect(inline).toMatchObject({ type: 'discover:response', to: vole.id, payload: { name: 'skein', endpoint: node.url } });
    const met = await node.hasTools(peer);
    expect(await met.callTool('echo', { a: 1 })).toMatchObject({ a: 1 });
    await vole.send('tool:call', node.id, { callId: 'c1', toolName: 'shout', params: { text: 'hi' } });
    expect((await vole.received.find(({ type }) => type === 'tool:result')).payload).toMatchObject({ output: 'HI' });
  });

  it('is not dialled where it says it is, unless that is configured', async () => {
    await using net = await pair({ announceEndpoint: false }, { announceEndpoint: true });
    const { node, vole } = net;
    await vole.announceTo(node.url);
    await vole.announceTo(node.url);
    expect(vole.received.items.filter(({ type }) => type !== 'discover:response')).toEqual([]);
    expect(vole.bound.items).toEqual([]);
    expect(node.net.peers).toEqual([]);
  });

  it('asks three times for the same list and gets what it needs', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    await node.joined(peer);
    for (let times = 0; times < 3; times += 1) await vole.send('tool:list', node.id, {});
    await vole.send('tool:call', node.id, { callId: 'last', toolName: 'shout', params: { text: '' } });
    await vole.received.find(({ type }) => type === 'tool:result');
    expect(vole.received.items.filter(({ type }) => type === 'tool:list:response')).toHaveLength(1);
  });

  it('meets us once where both dial, and pushes its answers twice', async () => {
    await using net = await pair({ announceEndpoint: true }, { announceEndpoint: true });
    const { node, vole, peer } = net;
    node.connectTo({ url: vole.url });
    await Promise.all([vole.announceTo(node.url), node.joined(peer)]);
    const met = await node.hasTools(peer);
    for (let n = 0; n < 20; n += 1) expect(await met.callTool('echo', { n })).toMatchObject({ n });
    expect(node.events.items.filter(({ type }) => type === 'peer-joined')).toHaveLength(1);
  });

  it('is told that a task, a tool or a list is not for it', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    node.grants.set(peer, new Set(['presence']));
    await vole.announceTo(node.url);
    await node.joined(peer);
    await vole.send('tool:list', node.id, {});
    expect((await vole.received.find(({ type }) => type === 'tool:list:response')).payload).toEqual([]);
    await vole.send('tool:call', node.id, { callId: 'c1', toolName: 'shout', params: {} });
    expect((await vole.received.find(({ type }) => type === 'tool:result')).payload).toMatchObject({
      success: false,
      error: 'Tool access not allowed: shout',
    });
    await vole.send('task:delegate', node.id, { taskId: 't1', input: 'think' });
    expect((await vole.received.find(({ type }) => type === 'task:result')).payload).toMatchObject({
      taskId: 't1',
      status: 'failed',
    });
    expect(node.calls).toEqual([]);
    expect(node.told.items).toEqual([]);
  });

  it('delegates a task, syncs a session and memory, chats and leads', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    await node.joined(peer);
    await vole.send('task:delegate', node.id, { taskId: 't1', input: 'the weather', maxIterations: 3 });
    expect((await vole.received.find(({ type }) => type === 'task:result')).payload).toEqual({
      taskId: 't1',
      status: 'completed',
      result: 'thought about the weather',
    });
    const session = { sessionId: 'cli:1', role: 'user', content: 'hello', timestamp: 5 };
    await vole.send('session:sync', node.id, { ...session, instanceId: 'somebody' });
    expect(await node.told.find(({ what }) => what === 'session')).toEqual({ what: 'session', peer, value: session });
    const memory = { file: 'MEMORY.md', source: 'user', content: 'likes tea', mode: 'append', timestamp: 5, version: 1 };
    await vole.send('memory:sync', node.id, { ...memory, instanceId: 'somebody' });
    expect(await node.told.find(({ what }) => what === 'memory')).toEqual({ what: 'memory', peer, value: memory });
    await vole.send('memory:search', node.id, { query: 'tea', requestId: 'r1' });
    expect((await vole.received.find(({ type }) => type === 'memory:results')).payload).toMatchObject({
      requestId: 'r1',
      instanceId: node.id,
      instanceName: 'skein',
      results: [{ snippet: 'found tea' }],
    });
    await vole.send('chat:message', node.id, { text: 'hi there', fromName: 'vole' });
    expect(await node.told.find(({ what }) => what === 'chat')).toMatchObject({ value: { text: 'hi there' } });
    await vole.send('leader:heartbeat', node.id, { timestamp: 1 });
    expect(await node.told.find(({ what }) => what === 'leads')).toEqual({ what: 'leads', peer });
    await vole.send('leader:claim', node.id, {});
    expect((await vole.received.find(({ type }) => type === 'leader:ack')).payload).toEqual({ accepted: true });
  });

  it('gets what we broadcast, as far as it may have it', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    await node.joined(peer);
    node.grants.set(peer, new Set(['presence', 'sessions']));
    node.net.broadcastMemory({ file: 'f', source: 's', content: 'secret', mode: 'append', timestamp: 1, version: 1 });
    node.net.broadcastHeartbeat();
    node.net.broadcastSession({ sessionId: 's1', role: 'brain', content: 'said', timestamp: 2 });
    const turn = await vole.received.find(({ type }) => type === 'session:sync');
    expect(turn).toMatchObject({ to: vole.id, payload: { sessionId: 's1', role: 'brain', instanceId: node.id } });
    expect(vole.received.items.some(({ type }) => type === 'leader:heartbeat')).toBe(true);
    expect(vole.received.items.some(({ type }) => type === 'memory:sync')).toBe(false);
  });
});

describe('a VoleNet node with post-quantum keys', () => {
  it('is heard only with its ML-DSA signature once it has announced the key', async () => {
    await using net = await pair({ announceEndpoint: true }, { modern: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    const met = await node.hasTools(peer);
    expect(node.pinned.get(peer)).toBe(vole.line.split(' ')[3]);
    expect(await met.callTool('echo', {})).toMatchObject({});
    const { sigPq: _stripped, ...bare } = vole.make('chat:message', node.id, { text: 'forged', fromName: '' });
    expect((await vole.post(node.url, bare)).status).toBe(401);
    expect(node.told.items).toEqual([]);
  });

  it('talks in sealed messages both ways', async () => {
    await using net = await pair({ announceEndpoint: true }, { modern: true, encrypt: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    const met = await node.hasTools(peer);
    expect(await met.callTool('echo', { secret: 1 })).toMatchObject({ secret: 1 });
    await vole.send('tool:call', node.id, { callId: 'c1', toolName: 'shout', params: { text: 'hi' } });
    expect((await vole.received.find(({ type }) => type === 'tool:result')).payload).toMatchObject({ output: 'HI' });
    const open = vole.sent.items.filter(({ type }) => type.startsWith('tool:') || type.startsWith('task:'));
    expect(open).toEqual([]);
    expect(vole.received.items.filter(({ type }) => type === 'sealed:direct').length).toBeGreaterThan(2);
    expect(met.notProtected.join()).toContain('forward secrecy');
  });

  it('gets nothing open from a node that requires sealing, and one without keys gets nothing at all', async () => {
    await using net = await pair({ options: { encryption: 'require' } });
    net.node.connectTo({ url: net.vole.url });
    const met = await net.node.joined(net.peer);
    await expect(met.callTool('echo', {})).rejects.toMatchObject({ code: 'unsupported' });
    await net.vole.send('chat:message', net.node.id, { text: 'open', fromName: '' });
    await net.node.refusal('denied');
    expect(net.node.told.items).toEqual([]);
    expect(net.vole.received.items.some(({ type }) => type === 'tool:call')).toBe(false);
  });
});

describe('an answer of a VoleNet node that cannot be taken', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`);

  it.each([
    ['a result nested too deep', 'nested over 31 levels', (met: VolePeer) => met.callTool('deep', {})],
    ['a task’s result that is too long', '400000', (met: VolePeer) => met.delegate({ input: 'x' })],
    ['found things that are too long', '10000', (met: VolePeer) => met.searchMemory({ query: 'x', limit: 3 })],
  ] as const)('ends what waits for it at once, with why: %s', async (_what, why, ask) => {
    const think = () => 'x'.repeat(400_001);
    const remember = () => [{ file: 'f', source: 's', score: 1, snippet: 'x'.repeat(10_001) }];
    await using net = await pair({}, { tools: { deep: () => deep }, allowBrain: true, think, remember });
    const { node, vole, peer } = net;
    await vole.dial(node.id, node.url);
    const met = await node.joined(peer);
    await expect(ask(met)).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining(why) });
    expect(met.pending).toBe(0);
    await node.refusal('invalid');
  });

  it('of another peer, or one that does not verify, ends nothing', async () => {
    await using net = await pair({}, { tools: { slow: () => new Promise(() => {}) } });
    const { node, vole, peer } = net;
    await using other = await new SpecVole({ name: 'other' }).start();
    const otherId = node.trust(other.line, ...ALL);
    other.trust(node.net.line);
    for (const one of [vole, other]) await one.dial(node.id, node.url);
    const met = await node.joined(peer);
    await node.joined(otherId);
    const call = met.callTool('slow', {}, { timeoutMs: 300 });
    const { payload } = await vole.received.find(({ type }) => type === 'tool:call');
    const unfit = { callId: payload.callId, success: true, output: deep };
    await other.send('tool:result', node.id, unfit);
    const forged = vole.make('tool:result', node.id, { ...unfit, output: 1 });
    expect((await vole.post(node.url, { ...forged, payload: unfit })).status).toBe(401);
    // One that nothing waits for is refused as before.
    expect((await vole.post(node.url, vole.make('tool:result', node.id, { ...unfit, callId: 'c' }))).status).toBe(400);
    await expect(call).rejects.toMatchObject({ code: 'deadline-exceeded' });
  });
});

describe('a request of a VoleNet node that cannot be served as it is', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`);
  const long = 'i'.repeat(1_025);

  it.each([
    ['tool:call', { callId: 'c1', toolName: 'x'.repeat(201), params: {} }, 'toolName'],
    ['tool:call', { callId: 'c1', params: {} }, 'toolName'],
    ['tool:call', { callId: 'c1', toolName: 'shout', params: { a: deep } }, 'nested'],
    ['tool:call', { callId: 17, toolName: 'shout' }, 'callId'],
    ['tool:call', { callId: 'i'.repeat(200), toolName: 'shout' }, 'callId'],
    ['tool:call', { callId: '', toolName: 'shout' }, 'callId'],
    ['task:delegate', { taskId: 't1' }, 'input'],
    ['task:delegate', { taskId: 't1', input: '' }, 'input'],
    ['task:delegate', { taskId: 't1', input: 'x'.repeat(100_001) }, 'input'],
    ['task:delegate', { taskId: 't1', input: 'x', context: 'x'.repeat(400_001) }, 'context'],
    ['task:delegate', { taskId: 't1', input: 'x', context: { a: 1 } }, 'context'],
    ['memory:search', { requestId: 'r1', query: '' }, 'query'],
    ['memory:search', { requestId: 'r1' }, 'query'],
  ] as const)('is answered at once with why: %s %o', async (type, payload, why) => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    await node.joined(peer);
    await vole.send(type, node.id, payload);
    const answers = { 'tool:call': 'tool:result', 'task:delegate': 'task:result', 'memory:search': 'memory:results' };
    const answer = (await vole.received.find((message) => message.type === answers[type])).payload;
    expect(answer.error).toContain(why);
    if (type === 'tool:call') expect(answer).toMatchObject({ callId: payload.callId, success: false });
    if (type === 'task:delegate') expect(answer).toMatchObject({ taskId: payload.taskId, status: 'failed' });
    if (type === 'memory:search') expect(answer).toMatchObject({ requestId: payload.requestId, results: [] });
    await node.refusal('invalid');
    expect(node.calls).toEqual([]);
    expect(node.told.items.filter(({ what }) => what === 'task')).toEqual([]);
  });

  it('gets no answer where nobody could wait for it, nor one who is not trusted, nor one who replays it', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    await node.joined(peer);
    for (const callId of [undefined, null, { a: 1 }, long]) await vole.send('tool:call', node.id, { callId, toolName: '' });
    await using stranger = await new SpecVole({ name: 'stranger' }).start();
    expect(await stranger.post(node.url, stranger.make('tool:call', node.id, { callId: 'c1' }))).toMatchObject({ status: 401 });
    const unfit = vole.make('tool:call', node.id, { callId: 'c2' });
    expect(await vole.post(node.url, unfit)).toMatchObject({ status: 200 });
    expect(await vole.post(node.url, unfit)).toMatchObject({ status: 401 });
    await vole.send('tool:call', node.id, { callId: 'last', toolName: 'shout', params: { text: 'hi' } });
    await vole.received.find(({ type, payload }) => type === 'tool:result' && payload.callId === 'last');
    const results = vole.received.items.filter(({ type }) => type === 'tool:result');
    expect(results.map(({ payload }) => payload.callId).sort()).toEqual(['c2', 'last']);
    expect(stranger.received.items).toEqual([]);
  });

  it('is one that ours is told of when it searches a memory that fails', async () => {
    await using left = await VoleNode.start({ name: 'left' });
    await using right = await VoleNode.start({ name: 'right' });
    const rightId = left.trust(right.net.line, ...ALL);
    right.trust(left.net.line, ...ALL);
    left.connectTo({ url: right.url });
    const met = await left.joined(rightId);
    await expect(met.searchMemory({ query: '', limit: 3 })).rejects.toThrow('right did not search: The payload');
  });

  it('keeps the name of a person however long it is, and the whole context', async () => {
    await using net = await pair({ announceEndpoint: true });
    const { node, vole, peer } = net;
    await vole.announceTo(node.url);
    await node.joined(peer);
    const said = { input: 'x', fromName: 'n'.repeat(300), context: 'c'.repeat(90_000) };
    await vole.send('task:delegate', node.id, { taskId: 't1', ...said });
    expect(await node.told.find(({ what }) => what === 'task')).toMatchObject({ value: { taskId: 't1', ...said } });
  });
});

describe('calls to a VoleNet node', () => {
  it('fail when it is killed meanwhile, not at their deadline', async () => {
    const started = Promise.withResolvers<void>();
    const hang = () => {
      started.resolve();
      return new Promise(() => {});
    };
    await using net = await pair({}, { tools: { hang } });
    net.node.connectTo({ url: net.vole.url });
    const met = await net.node.joined(net.peer);
    const call = met.callTool('hang', {});
    await started.promise;
    const cutAtMs = performance.now();
    await net.vole.stop();
    await expect(call).rejects.toMatchObject({ code: 'unavailable' });
    expect(performance.now() - cutAtMs).toBeLessThan(10_000);
    expect(met.tools).toEqual([]);
  });

  it('end at their deadline and when they are stopped', async () => {
    await using net = await pair({}, { tools: { hang: () => new Promise(() => {}) } });
    net.node.connectTo({ url: net.vole.url });
    const met = await net.node.joined(net.peer);
    await expect(met.callTool('hang', {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'deadline-exceeded' });
    const stop = new AbortController();
    const call = met.callTool('hang', {}, { signal: stop.signal });
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: 'canceled' });
    expect(met.pending).toBe(0);
  });

  it('go on after it has come back', async () => {
    await using net = await pair();
    const { node, vole, peer } = net;
    node.connectTo({ url: vole.url });
    const met = await node.joined(peer);
    const left = node.events.next(({ type }) => type === 'peer-left');
    const back = node.events.next(({ type }) => type === 'peer-joined');
    vole.cut();
    await left;
    await back;
    expect(await met.callTool('echo', { a: 1 })).toMatchObject({ a: 1 });
  });
});

describe('two of ours that speak VoleNet', () => {
  it('call each other with schemas, tasks, memory and chat, over one socket', async () => {
    await using left = await VoleNode.start({ name: 'left', tools: { a: () => 1 }, announceEndpoint: true });
    await using right = await VoleNode.start({ name: 'right', tools: { b: () => ({ deep: [null] }) }, announceEndpoint: true });
    const rightId = left.trust(right.net.line, ...ALL);
    const leftId = right.trust(left.net.line, ...ALL);
    left.connectTo({ url: right.url });
    right.connectTo({ url: left.url });
    const [met, metBack] = await Promise.all([left.hasTools(rightId), right.hasTools(leftId)]);
    expect(met.tools[0]?.descriptor).toMatchObject({ name: 'b', description: 'b of right', effect: 'read' });
    expect(met.tools[0]?.descriptor.input).toHaveProperty('properties.text');
    expect(await met.callTool('b', {})).toEqual({ deep: [null] });
    expect(await metBack.callTool('a', {})).toBe(1);
    expect(await met.delegate({ input: 'x' })).toEqual({ status: 'completed', result: 'thought about x' });
    const { found, silent } = await left.net.searchMemory({ query: 'tea', limit: 3 });
    expect(found).toMatchObject([{ hits: [{ snippet: 'found tea' }] }]);
    expect(silent).toEqual([]);
    await met.sendChat('hello', 'left');
    expect(await right.told.find(({ what }) => what === 'chat')).toMatchObject({ peer: leftId, value: { text: 'hello' } });
    expect(left.pinned.has(rightId) && right.pinned.has(leftId)).toBe(true);
  });

  it('tell each other that an answer is too large, whatever was asked', async () => {
    const found = 'x'.repeat(1_100_000);
    await using left = await VoleNode.start({ name: 'left' });
    await using right = await VoleNode.start({ name: 'right', tools: { much: () => found }, found });
    const rightId = left.trust(right.net.line, ...ALL);
    right.trust(left.net.line, ...ALL);
    left.connectTo({ url: right.url });
    const met = await left.hasTools(rightId);
    await expect(met.callTool('much', {})).rejects.toMatchObject({ code: 'too-large' });
    expect(await met.delegate({ input: 'x' })).toMatchObject({ status: 'failed', error: expect.stringContaining('bytes') });
    await expect(met.searchMemory({ query: 'x', limit: 3 })).rejects.toThrow('bytes');
  });

  it('hear of new tools at once', async () => {
    const tools: Record<string, () => number> = { a: () => 1 };
    await using left = await VoleNode.start({ name: 'left', tools });
    await using right = await VoleNode.start({ name: 'right' });
    const leftId = right.trust(left.net.line, ...ALL);
    left.trust(right.net.line, ...ALL);
    right.connectTo({ url: left.url });
    const met = await right.hasTools(leftId);
    const changed = right.events.next(({ type }) => type === 'tools-changed');
    tools.z = () => 2;
    left.net.toolsChanged();
    await changed;
    expect(met.tools.map(({ descriptor }) => descriptor.name)).toEqual(['a', 'z']);
  });

  it('part within a moment when a key is revoked', async () => {
    await using left = await VoleNode.start({ name: 'left' });
    await using right = await VoleNode.start({ name: 'right' });
    const leftId = right.trust(left.net.line, ...ALL);
    const rightId = left.trust(right.net.line, ...ALL);
    right.connectTo({ url: left.url });
    const [met] = await Promise.all([right.joined(leftId), left.joined(rightId)]);
    left.revoke(right.net.line);
    await right.events.find(({ type }) => type === 'peer-left');
    await expect(met.callTool('a', {})).rejects.toMatchObject({ code: 'unavailable' });
  });
});
