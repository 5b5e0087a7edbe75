import type { SpecVole } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf, untilFound } from './trust-files.ts';
import { startVolePair, startWithVole } from './vole-peers.ts';

const never = new AbortController().signal;
const say = (from: TestHost, peer: string, text: string) => from.host.backend.sendMessage({ peer, text }, { signal: never });
const saidAt = (node: TestHost) =>
  node.host.backend.messages().map(({ peer, state, text }) => `${peer.name} ${state}: ${text}`);
const chats = (vole: SpecVole) =>
  vole.received.items.filter(({ type }) => type === 'chat:message').map(({ payload }) => payload);

test('a message goes to an OpenVole node when it is connected, and one of its people is kept and told here', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { trust: 'trust=read' });
  const { node, vole } = net;
  expect(await say(node, 'vole', 'lunch?')).toMatchObject({ state: 'sent', peer: { name: 'vole', id: net.peer } });
  expect((await vole.received.find(({ type }) => type === 'chat:message')).payload).toEqual({
    text: 'lunch?',
    fromName: 'ours',
  });
  const told = node.event('chat-message');
  await vole.send('chat:message', net.id, { text: 'at noon', fromName: 'Ann' });
  expect(await told).toMatchObject({ name: 'vole', text: 'at noon' });
  expect(saidAt(node)).toEqual(['vole sent: lunch?', 'vole received: at noon']);
  expect(await audited(node, 'chat')).toMatchObject({ peer: net.peer });
  expect(JSON.stringify(auditOf(node))).not.toContain('noon');
});

test('a message to an OpenVole node that is away waits, and is sent once when it is back', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  const { port } = vole;
  const gone = node.event('peer-left');
  await vole.stop();
  await gone;
  expect(await say(node, 'vole', 'are you there?')).toMatchObject({ state: 'waiting' });
  await vole.start(port);
  await expect.poll(() => saidAt(node), { timeout: 60_000 }).toEqual(['vole sent: are you there?']);
  await say(node, 'vole', 'good');
  await vole.received.find(({ type, payload }) => type === 'chat:message' && payload.text === 'good');
  expect(chats(vole).map(({ text }) => text)).toEqual(['are you there?', 'good']);
}, 90_000);

test('what was handed to an OpenVole node is not sent again after a restart, since nothing there would notice', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  await say(node, 'vole', 'once');
  await node.host[Symbol.asyncDispose]();
  const again = nodes.restart(node, { net: { volenet: true, peers: [{ url: vole.url, dialect: 'volenet' }] } });
  const met = vole.received.next(({ type }) => type === 'discover' || type === 'tool:list');
  await nodes.start(again);
  await met;
  await expect.poll(() => again.host.backend.peers()[0]?.state, { timeout: 15_000 }).toBe('connected');
  await say(again, 'vole', 'twice');
  await vole.received.find(({ type, payload }) => type === 'chat:message' && payload.text === 'twice');
  expect(chats(vole).map(({ text }) => text)).toEqual(['once', 'twice']);
});

test('a flood of an OpenVole node is cut, recorded, and holds up nothing', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  for (let n = 0; n < 100; n += 1) await vole.send('chat:message', net.id, { text: `message ${n}`, fromName: 'Ann' });
  await untilFound(() =>
    auditOf(node).find(({ event, reason }) => event === 'vole-refused' && String(reason).includes('messages a second')),
  );
  expect(await node.call('vole/echo', { a: 1 })).toMatchObject({ a: 1 });
  expect(saidAt(node).length).toBeLessThan(100);
});

test('two nodes of ours that speak VoleNet to each other talk to each other as well', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startVolePair(nodes);
  const told = right.event('chat-message');
  await say(left, 'right', 'hello');
  expect(await told).toMatchObject({ name: 'left', text: 'hello' });
});

test.each([
  ['true', { encrypt: true }, { modern: true }, 'sealed'],
  ['absent', {}, { modern: true }, 'sealed'],
  ['true, and the peer announced no keys', { encrypt: true }, {}, 'open'],
  ['false', { encrypt: false }, { modern: true }, 'open'],
  ['"require"', { encrypt: 'require' as const }, { modern: true, encrypt: true }, 'sealed'],
])('with net.encrypt %s what goes to an OpenVole node is as it says, and shown so', async (_what, config, options, way) => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { config: { net: config }, vole: options });
  const { node, vole } = net;
  await say(node, 'vole', 'the code is 1234');
  await vole.received.find(({ type }) => type === 'chat:message');
  const sealed = vole.received.items.some(({ type }) => type === 'sealed:direct');
  expect(sealed).toBe(way === 'sealed');
  const [peer] = node.host.backend.peers();
  const isOpen = peer?.notProtected.some((line) => line.startsWith('Nothing is encrypted'));
  expect(isOpen).toBe(way === 'open');
});

test('with net.encrypt "require" nothing goes open to an OpenVole node without keys, and what comes open is refused', async () => {
  await using nodes = new Nodes();
  // Without tools, whose list would never be taken.
  await using net = await startWithVole(nodes, { config: { net: { encrypt: 'require' } }, vole: { tools: {} } });
  const { node, vole } = net;
  expect(await say(node, 'vole', 'the code is 1234')).toMatchObject({
    state: 'refused',
    problem: expect.stringContaining('no keys to seal to'),
  });
  await vole.send('chat:message', net.id, { text: 'psst', fromName: 'Ann' });
  const isIt = (record: Readonly<Record<string, unknown>>) => String(record.reason).startsWith('A chat:message came unsealed');
  expect(await untilFound(() => auditOf(node).find(isIt))).toMatchObject({ event: 'vole-refused' });
  expect(saidAt(node)).toEqual(['vole refused: the code is 1234']);
  expect(chats(vole)).toEqual([]);
});
