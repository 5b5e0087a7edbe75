import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SpecVole } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { VoleNode, type VoleNodeOptions } from './vole-node.ts';

const ALL = ['tools', 'brain', 'memory-read', 'memory-write', 'sessions', 'chat'] as const;

/** Somebody on the network: sends what it likes and sees what comes. */
async function stranger(url: string, headers: Record<string, string> = {}) {
  const ws = new WebSocket(url.replace(/^http/, 'ws'), { headers });
  const came: string[] = [];
  ws.on('message', (data) => came.push(JSON.parse(data.toString()).type));
  const closed = new Promise<number>((resolve) => ws.once('close', resolve));
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
  return { ws, came, closed, [Symbol.dispose]: () => ws.terminate() };
}

/** A node with two VoleNet nodes that it trusts and that dialled it. */
async function three(options: VoleNodeOptions = {}) {
  const stack = new AsyncDisposableStack();
  const node = stack.use(await VoleNode.start({ tools: { touch: () => 'done' }, announceEndpoint: true, ...options }));
  const alice = stack.use(await new SpecVole({ name: 'alice', tools: { slow: () => new Promise(() => {}) } }).start());
  const bob = stack.use(await new SpecVole({ name: 'bob', tools: { slow: () => 'bob' } }).start());
  for (const vole of [alice, bob]) vole.trust(node.net.line);
  const aliceId = node.trust(alice.line, ...ALL);
  const bobId = node.trust(bob.line, ...ALL);
  return { node, alice, bob, aliceId, bobId, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe('somebody on the network', () => {
  it('does not get what is for a peer by showing a message of that peer', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    const met = await node.joined(aliceId);
    using thief = await stranger(node.url);
    // Caught on its way, held back, and fresh: it verifies, but answers nothing that was asked on this socket.
    thief.ws.send(JSON.stringify(alice.make('leader:heartbeat', '*', {})));
    await node.told.find(({ what }) => what === 'leads');
    await met.sendChat('for alice alone', 'us');
    node.net.broadcastSession({ sessionId: 's', role: 'user', content: 'private', timestamp: 1 });
    await alice.received.find(({ type }) => type === 'session:sync');
    expect(alice.received.items.some(({ type }) => type === 'chat:message')).toBe(true);
    expect(thief.came).toEqual(['ping']);
  });

  it('does not become a node of ours by a pong that answers another ping, or does not say which', async () => {
    await using node = await VoleNode.start({ announceEndpoint: true });
    await using alice = await new SpecVole({ name: 'alice', echoes: true }).start();
    alice.trust(node.net.line);
    const aliceId = node.trust(alice.line, ...ALL);
    await alice.announceTo(node.url);
    const met = await node.joined(aliceId);
    using thief = await stranger(node.url);
    thief.ws.send(JSON.stringify(alice.make('pong', node.id, { timestamp: 1 })));
    thief.ws.send(JSON.stringify(alice.make('pong', node.id, { timestamp: 1, echo: 'another-ping' })));
    thief.ws.send(JSON.stringify(alice.make('leader:heartbeat', '*', {})));
    await node.told.find(({ what }) => what === 'leads');
    const left = node.events.find(({ type }) => type === 'peer-left');
    alice.cut();
    await left;
    expect(met.transport).toBe('none');
    await expect(met.sendChat('for alice alone', 'us')).rejects.toMatchObject({ code: 'unavailable' });
    expect(thief.came).toEqual(['ping']);
  });

  it('gets no answer to what a peer asked, and the peer gets it once it has shown itself', async () => {
    await using net = await three({ announceEndpoint: false });
    const { node, alice } = net;
    using thief = await stranger(node.url);
    thief.ws.send(JSON.stringify(alice.make('tool:call', node.id, { callId: 'c1', toolName: 'touch', params: {} })));
    await alice.dial(node.id, node.url);
    const result = await alice.received.find(({ type }) => type === 'tool:result');
    expect(result.payload).toMatchObject({ callId: 'c1', output: 'done' });
    expect(thief.came.filter((type) => type !== 'ping')).toEqual([]);
  });

  it('is cut off when it does not show whose it is in time, or speaks for two', async () => {
    await using net = await three({ options: { proofTimeoutMs: 50 } });
    const { node, alice, bob } = net;
    using silent = await stranger(node.url);
    expect(await silent.closed).toBe(1008);
    using two = await stranger(node.url);
    two.ws.send(JSON.stringify(alice.make('leader:heartbeat', '*', {})));
    two.ws.send(JSON.stringify(bob.make('chat:message', node.id, { text: 'x', fromName: '' })));
    await node.refusal('unauthenticated');
    expect(node.told.items.some(({ what }) => what === 'chat')).toBe(false);
  });

  it('keeps no peer out by sockets that say nothing: the oldest of them goes', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    using silent = new DisposableStack();
    const sockets = await Promise.all(Array.from({ length: 64 }, () => stranger(node.url)));
    for (const socket of sockets) silent.use(socket);
    await alice.dial(node.id, node.url);
    await node.joined(aliceId);
    expect(await node.refusal('busy')).toMatchObject({ error: { message: expect.stringContaining('prove who they are') } });
    expect(await Promise.race(sockets.map(({ closed }) => closed))).toBe(1006);
  });

  it('is not answered from a page in a browser, over no way', async () => {
    await using net = await three();
    await expect(stranger(net.node.url, { origin: 'http://evil.example' })).rejects.toThrow('503');
    const response = await fetch(`${net.node.url}/volenet/message`, {
      method: 'POST',
      headers: { origin: 'http://evil.example' },
    });
    expect(response.status).toBe(403);
  });

  it('learns no peers, gets no trust, and is told what is wrong in VoleNet’s words', async () => {
    await using net = await three();
    const { node, alice } = net;
    await alice.announceTo(node.url);
    const info = await (await fetch(`${node.url}/volenet/info`)).json();
    expect(info).toEqual({
      ok: true,
      protocol: 'volenet',
      version: 1,
      publicKey: node.net.line,
      peers: [],
      peerCount: 0,
      websocketConnections: 0,
    });
    const health = { status: 'ok', protocol: 'volenet', version: 1, skein: 1 };
    expect(await (await fetch(`${node.url}/health`)).json()).toEqual(health);
    for (const path of ['join', 'pair', 'blob/1']) {
      expect((await fetch(`${node.url}/volenet/${path}`, { method: 'POST', body: '{}' })).status).toBe(404);
    }
    expect(await alice.post(node.url, 'no json')).toMatchObject({ status: 400, body: { error: 'Invalid message' } });
    expect(await alice.post(node.url, { hello: 1 })).toMatchObject({ status: 400 });
    const unknown = new SpecVole();
    expect(await alice.post(node.url, unknown.make('ping', node.id, {}))).toMatchObject({
      status: 401,
      body: { error: 'unverified' },
    });
    const ping = alice.make('ping', node.id, {});
    expect((await alice.post(node.url, ping)).status).toBe(200);
    expect((await alice.post(node.url, ping)).status).toBe(401);
    expect((await alice.post(node.url, alice.make('ping', node.id, {}, { version: 1 }))).status).toBe(401);
    const old = alice.make('ping', node.id, {}, { timestamp: Date.now() - 61_000 });
    expect((await alice.post(node.url, old)).status).toBe(401);
  });

  it('finds no door to be let in by: that takes a key line', async () => {
    await using node = await VoleNode.start();
    for (const path of ['pair', 'join']) {
      const body = JSON.stringify({ publicKey: new SpecVole().line, name: 'guest' });
      expect((await fetch(`${node.url}/volenet/${path}`, { method: 'POST', body })).status).toBe(404);
    }
  });

  it('cannot have us dial an address it puts into a peer’s mouth, or follow a redirect', async () => {
    const asked: string[] = [];
    const internal = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end('{}');
    });
    await new Promise<void>((resolve) => internal.listen(0, '127.0.0.1', resolve));
    const { port } = internal.address() as AddressInfo;
    const redirecting = createServer((_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${port}/secret` }).end();
    });
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve));
    await using net = await three();
    const { node, alice } = net;
    const lies = { ...alice.announcement(), endpoint: `http://127.0.0.1:${port}` };
    expect((await alice.post(node.url, alice.make('discover', '*', lies))).status).toBe(200);
    node.connectTo({ url: `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}` });
    await node.events.find(({ type }) => type === 'problem');
    expect(asked).toEqual([]);
    internal.close();
    redirecting.close();
  });
});

describe('a trusted peer', () => {
  it('cannot answer for another', async () => {
    await using net = await three();
    const { node, alice, bob, aliceId, bobId } = net;
    await alice.announceTo(node.url);
    await bob.announceTo(node.url);
    const met = await node.joined(aliceId);
    await node.joined(bobId);
    const call = met.callTool('slow', {}, { timeoutMs: 300 });
    const asked = await alice.received.find(({ type }) => type === 'tool:call');
    await bob.send('tool:result', node.id, { callId: asked.payload.callId, success: true, output: 'forged' });
    await bob.send('chat:message', node.id, { text: 'after it', fromName: '' });
    await node.told.find(({ what }) => what === 'chat');
    await expect(call).rejects.toMatchObject({ code: 'deadline-exceeded' });
  });

  it('cannot pass on what another said to it, nor what that one said to us before', async () => {
    await using net = await three();
    const { node, alice, bob } = net;
    const forBob = alice.make('tool:call', bob.id, { callId: 'c', toolName: 'touch', params: {} });
    expect((await bob.post(node.url, forBob)).status).toBe(401);
    expect((await bob.post(node.url, { ...forBob, to: node.id })).status).toBe(401);
    expect((await bob.post(node.url, { ...forBob, to: '*' })).status).toBe(401);
    expect(node.calls).toEqual([]);
  });

  it('offers tools under its own name only, and what is no tool in its list is passed over', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    const met = await node.hasTools(aliceId);
    const next = node.events.next(({ type }) => type === 'tools-changed');
    await alice.send('tool:list:response', node.id, [
      null,
      [null],
      7,
      { name: null },
      { name: 'bad name/../x' },
      { name: 'constructor', description: null },
      {
        name: 'shell_exec',
        description: 'x'.repeat(10_000),
        instanceId: node.id,
        instanceName: 'skein',
        input: { type: 'object' },
      },
      { name: 'shell_exec', description: 'again' },
    ]);
    await next;
    expect(met.tools.map(({ descriptor, peer }) => [descriptor.name, peer?.id])).toEqual([
      ['constructor', aliceId],
      ['shell_exec', aliceId],
    ]);
    expect(met.tools.every(({ untrusted }) => untrusted)).toBe(true);
  });

  it('cannot end the process with null, or with nothing', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    const met = await node.joined(aliceId);
    const kinds = ['discover', 'discover:response', 'tool:call', 'tool:result', 'tool:list:response', 'task:delegate'];
    for (const type of [
      ...kinds,
      'task:result',
      'memory:sync',
      'session:sync',
      'sealed:direct',
      'chat:message',
      'leader:ack',
    ]) {
      for (const payload of [null, [null], undefined, '', 0, { callId: null }]) await alice.send(type, node.id, payload);
    }
    const call = met.callTool('slow', {});
    const asked = await alice.received.find(({ type }) => type === 'tool:call');
    await alice.send('tool:result', node.id, { callId: asked.payload.callId, success: true });
    expect(await call).toBeNull();
  });

  it('writes, says and leads nothing that it was not granted, and finds nothing', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    await node.joined(aliceId);
    node.grants.set(aliceId, new Set());
    const refused: string[] = [];
    const denied = new Promise<void>((resolve) => {
      const push = node.events.push.bind(node.events);
      node.events.push = (event) => {
        push(event);
        if (event.type === 'refused' && event.error.code === 'denied' && refused.push(event.error.message) === 6) resolve();
      };
    });
    await alice.send('session:sync', node.id, { sessionId: 's', role: 'user', content: 'x', timestamp: 1 });
    await alice.send('memory:sync', node.id, { file: 'f', source: 's', content: 'x', mode: 'append', timestamp: 1 });
    await alice.send('chat:message', node.id, { text: 'x', fromName: '' });
    await alice.send('leader:heartbeat', node.id, {});
    await alice.send('leader:claim', node.id, {});
    await alice.send('memory:search', node.id, { query: 'x', requestId: 'r' });
    await denied;
    expect(node.told.items).toEqual([]);
    expect(alice.received.items.filter(({ type }) => type === 'memory:results' || type === 'leader:ack')).toEqual([]);
  });

  it('writes no path as a session', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    await node.joined(aliceId);
    for (const sessionId of ['..', '.', '../x', 'a/b', 'a\\b', 'a\0', '']) {
      await alice.send('session:sync', node.id, { sessionId, role: 'user', content: 'x', timestamp: 1 });
    }
    await alice.send('session:sync', node.id, { sessionId: 'cli:a.b', role: 'user', content: 'x', timestamp: 1 });
    await node.told.find(({ what }) => what === 'session');
    expect(node.told.items).toHaveLength(1);
  });

  it('that sends too much is told so, and others are served', async () => {
    await using net = await three({ options: { messagesPerSecond: 20 } });
    const { node, alice, bob, aliceId, bobId } = net;
    await alice.announceTo(node.url);
    await node.joined(aliceId);
    for (let n = 0; n < 60; n += 1) {
      await alice.send('tool:call', node.id, { callId: `c${n}`, toolName: 'touch', params: {} });
    }
    const refused = await alice.received.find(({ type, payload }) => type === 'tool:result' && payload.success === false);
    expect(refused.payload).toMatchObject({ code: 'busy', error: expect.stringContaining('busy') });
    await bob.announceTo(node.url);
    await node.joined(bobId);
    await bob.send('tool:call', node.id, { callId: 'b', toolName: 'touch', params: {} });
    expect((await bob.received.find(({ type }) => type === 'tool:result')).payload).toMatchObject({ output: 'done' });
  });

  it('is told that too many of its calls run', async () => {
    await using net = await three({ tools: { touch: () => new Promise(() => {}) } });
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    await node.joined(aliceId);
    for (let n = 0; n < 65; n += 1) {
      await alice.send('tool:call', node.id, { callId: `c${n}`, toolName: 'touch', params: {} });
    }
    const refused = await alice.received.find(({ type }) => type === 'tool:result');
    expect(refused.payload).toMatchObject({ callId: 'c64', success: false, code: 'busy' });
  });

  it('is heard no more a moment after its key is revoked, on no way', async () => {
    await using net = await three();
    const { node, alice, aliceId } = net;
    await alice.announceTo(node.url);
    await node.joined(aliceId);
    node.revoke(alice.line);
    await node.events.find(({ type }) => type === 'peer-left');
    expect((await alice.post(node.url, alice.make('tool:call', node.id, { callId: 'c', toolName: 'touch' }))).status).toBe(401);
    using again = await stranger(node.url);
    again.ws.send(JSON.stringify(alice.make('tool:call', node.id, { callId: 'c', toolName: 'touch' })));
    await node.refusal('unauthenticated');
    expect(node.calls).toEqual([]);
  });
});

describe('a node that was started anew', () => {
  it('refuses what it heard before', async () => {
    const alice = new SpecVole({ name: 'alice' });
    await using before = await VoleNode.start({ tools: { touch: () => 1 } });
    before.trust(alice.line, ...ALL);
    const call = alice.make('tool:call', before.id, { callId: 'c', toolName: 'touch', params: {} });
    expect((await alice.post(before.url, call)).status).toBe(200);
    await using after = await VoleNode.start({
      tools: { touch: () => 1 },
      identity: before.identity,
      directory: before.directory,
    });
    after.trust(alice.line, ...ALL);
    expect((await alice.post(after.url, call)).status).toBe(401);
    expect(after.calls).toEqual([]);
  });
});
