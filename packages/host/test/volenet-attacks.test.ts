import { appendFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SpecVole } from '@skein/testing';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { Nodes, startPair } from './nodes.ts';
import { audited, auditOf, untilFound } from './trust-files.ts';
import { startWithVole, trustLine, voleNameOf } from './vole-peers.ts';

const READ = { name: 'system_info', params: {} };
const refusals = (node: Parameters<typeof auditOf>[0]) => auditOf(node).filter(({ event }) => event === 'vole-refused');

test('a key that is not trusted gets nothing, on a socket or by HTTP, and is written down', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  await using stranger = await new SpecVole({ name: 'stranger' }).start();
  stranger.trust(voleNameOf(net.node).line);
  const call = () => stranger.make('tool:call', net.id, { callId: 'c', toolName: 'system_info', params: {} });
  expect(await stranger.post(net.http, call())).toMatchObject({ status: 401, body: { error: 'unverified' } });
  expect(await stranger.announceTo(net.http)).toBeUndefined();
  const socket = await stranger.dial(net.id, net.http);
  stranger.say(socket, call());
  await expect.poll(() => refusals(net.node).length).toBeGreaterThanOrEqual(3);
  expect(stranger.received.items).toEqual([]);
  expect(net.node.host.backend.peers().map(({ name }) => name)).toEqual(['vole']);
});

test('a peer that may only read calls nothing, gets nothing thought, and writes nothing', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { trust: 'trust=read' });
  expect(await net.call(READ)).toMatchObject({ success: false, code: 'denied' });
  expect(await net.ask('task:delegate', { taskId: 't', input: 'think' }, 'task:result')).toMatchObject({ status: 'failed' });
  await net.vole.send('memory:sync', net.id, { file: 'M', content: 'evil', mode: 'overwrite', timestamp: 1 });
  await expect
    .poll(() => refusals(net.node).map(({ reason }) => String(reason)))
    .toEqual([expect.stringContaining('tools'), expect.stringContaining('brain'), expect.stringContaining('memory-write')]);
  expect(net.node.host.backend.tasks()).toEqual([]);
});

test('the place that a peer announces as its own is never dialled, and gives it no other’s rights', async () => {
  await using nodes = new Nodes();
  let visits = 0;
  const victim = createServer((_request, response) => {
    visits += 1;
    response.writeHead(200).end('{}');
  });
  await new Promise<void>((resolve) => victim.listen(0, '127.0.0.1', resolve));
  const { port } = victim.address() as AddressInfo;
  await using net = await startWithVole(nodes, { dials: 'vole', trust: 'trust=read' });
  await net.vole.send('discover', net.id, {
    ...net.vole.announcement(),
    endpoint: `http://127.0.0.1:${port}`,
    role: 'coordinator',
  });
  await net.vole.send('discover', net.id, { ...net.vole.announcement(), endpoint: net.http });
  net.vole.cut();
  await untilFound(() => (net.node.host.backend.peers()[0]?.state === 'connected' ? undefined : true));
  await net.vole.dial(net.id, net.http);
  expect(await net.call(READ)).toMatchObject({ success: false });
  expect(visits).toBe(0);
  victim.close();
});

test('a result that another trusted peer forges settles nothing', async () => {
  await using nodes = new Nodes();
  let answer: (value: unknown) => void = () => {};
  const slow = () => new Promise((resolve) => (answer = resolve));
  await using net = await startWithVole(nodes, { vole: { tools: { slow } } });
  await using forger = await new SpecVole({ name: 'forger' }).start();
  const lines = [trustLine(net.vole, 'trust=full'), trustLine(forger, 'trust=full')];
  writeFileSync(net.node.file('authorized_peers'), `${lines.join('\n')}\n`, { mode: 0o600 });
  await audited(net.node, 'trust-added');
  forger.trust(voleNameOf(net.node).line);
  await forger.dial(net.id, net.http);
  await forger.received.find(({ type }) => type === 'tool:list');
  const called = net.node.call('vole/slow', {});
  const { payload } = await net.vole.received.find(({ type }) => type === 'tool:call');
  await forger.send('tool:result', net.id, { callId: payload.callId, success: true, output: 'forged' });
  await forger.send('tool:call', net.id, { callId: 'later', toolName: 'system_info', params: {} });
  await forger.received.find(({ type }) => type === 'tool:result');
  answer('true');
  expect(await called).toBe('true');
});

test('a message that was heard is not heard again after a restart of this node', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { dials: 'vole', trust: 'trust=full' });
  const { node, vole } = net;
  const entry = { file: 'M', content: 'heard once', mode: 'append', timestamp: 1 };
  const message = vole.make('memory:sync', net.id, entry);
  expect(await vole.post(net.http, message)).toMatchObject({ status: 200 });
  expect(await vole.post(net.http, message)).toMatchObject({ status: 401 });
  await node.host[Symbol.asyncDispose]();
  const again = nodes.restart(node, { net: { volenet: true, share: { tools: true, memory: true } } });
  const { port } = await nodes.start(again);
  expect(await vole.post(`http://127.0.0.1:${port}`, message)).toMatchObject({ status: 401 });
  const next = vole.make('memory:sync', net.id, entry);
  expect(await vole.post(`http://127.0.0.1:${port}`, next)).toMatchObject({ status: 200 });
});

test('a message for another node, passed on to this one, has no effect', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { dials: 'vole' });
  const { vole, node } = net;
  const elsewhere = vole.make('memory:sync', '0123456789abcdef', {
    file: 'M',
    content: 'for bob',
    mode: 'append',
    timestamp: 1,
  });
  expect(await vole.post(net.http, elsewhere)).toMatchObject({ status: 401 });
  const call = vole.make('tool:call', '*', { callId: 'c', toolName: 'system_info', params: {} });
  expect(await vole.post(net.http, call)).toMatchObject({ status: 401 });
  const reasons = () => refusals(node).filter(({ reason }) => reason === 'The message is for another');
  await expect.poll(() => reasons().length).toBe(2);
  expect(await node.call('memory_search', { query: 'bob' })).toMatchObject({ facts: [] });
});

test.each(['discover', 'tool:call', 'tool:result', 'task:delegate', 'memory:sync', 'session:sync', 'tool:list:response'])(
  'a %s with nothing in it, or with the wrong things, ends nothing but itself',
  async (type) => {
    await using nodes = new Nodes();
    await using net = await startWithVole(nodes);
    for (const payload of [null, [null], 'text', {}, { callId: 'c', taskId: 't', success: true }, Array(5_000).fill(null)]) {
      await net.vole.send(type, net.id, payload);
    }
    expect(await net.call(READ)).toMatchObject({ success: true });
    expect(await net.node.call('vole/echo', { a: 1 })).toMatchObject({ a: 1 });
  },
);

test('a peer that floods is told that it is too much, fills no audit, and other peers are served meanwhile', async () => {
  await using nodes = new Nodes();
  const { worker, boss } = await startPair(nodes, { worker: { net: { volenet: true, share: { tools: true } } } });
  await using vole = await new SpecVole({ name: 'flood' }).start();
  appendFileSync(worker.file('authorized_peers'), `${trustLine(vole, 'trust=read')}\n`);
  await audited(worker, 'trust-added');
  const { line, id } = voleNameOf(worker);
  vole.trust(line);
  const socket = await vole.dial(id, worker.url.replace('ws', 'http'));
  await vole.received.find(({ type }) => type === 'tool:list');
  const text = Array.from({ length: 20_000 }, (_, n) =>
    JSON.stringify(vole.make('tool:call', id, { callId: `c${n}`, toolName: 'system_info', params: {} })),
  );
  for (const message of text) socket.send(message);
  const startedMs = performance.now();
  for (let served = 0; served < 50; served += 1) await boss.call('worker/system_info', {});
  // They wait for a message or two of the flood each time, and never for all of it.
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  const results = vole.received.items.filter(({ type }) => type === 'tool:result').map(({ payload }) => payload);
  expect(results.length).toBeGreaterThan(0);
  expect(results.every(({ success }) => success === false)).toBe(true);
  expect(refusals(worker).length).toBeLessThanOrEqual(60);
  expect(statSync(worker.file('audit.jsonl')).size).toBeLessThan(200_000);
});

test('strangers that flood the door fill no audit, and peers are served meanwhile', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  await using stranger = await new SpecVole({ name: 'stranger' }).start();
  const sockets = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const socket = new WebSocket(net.http.replace('http', 'ws'));
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      return socket;
    }),
  );
  const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  for (const socket of sockets) {
    for (let n = 0; n < 300; n += 1) socket.send(JSON.stringify(stranger.make('tool:list', net.id, {})));
  }
  const posts = Array.from({ length: 300 }, () => stranger.post(net.http, stranger.make('tool:list', net.id, {})));
  expect(await net.node.call('vole/echo', { a: 1 })).toMatchObject({ a: 1 });
  expect(await net.call(READ)).toMatchObject({ success: true });
  const statuses = (await Promise.all(posts)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
  await Promise.all(closed);
  expect(refusals(net.node).length).toBeLessThanOrEqual(60);
});
