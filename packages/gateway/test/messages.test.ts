import type { PeerMessage, PeerStatus } from '@skein/gateway';
import { CHAT_CHARS_MAX, peerIdOf } from '@skein/protocol';
import { expect, test } from 'vitest';
import { authorized, json, send, startGateway } from './start-gateway.ts';

const id = peerIdOf(new Uint8Array(32).fill(1));
const peer: PeerStatus = {
  ...{ id, name: 'eu monitor/1', state: 'connected', trust: 'read', address: null, latencyMs: null, lastSeenAtMs: null },
  ...{ tools: [], dialect: 'skein', transport: 'websocket', notProtected: [], brain: null, load: null, problem: null },
};
const came: PeerMessage = {
  ...{ id: '0f3c0000-0000-4000-8000-000000000001', peer: { id, name: peer.name }, direction: 'in' },
  ...{ atMs: 1, state: 'received', text: 'hello', problem: null },
};

test('messages are sent to a peer and listed, with all or with one whose name needs escaping', async () => {
  await using net = await startGateway({ backend: { peers: [peer], messages: [came] } });
  const sent = await net.client.sendMessage({ peer: peer.name, text: '  is the lunch ready? ' });
  expect(sent).toMatchObject({ direction: 'out', state: 'sent', text: 'is the lunch ready?' });
  expect(await net.client.messages()).toEqual([came, sent]);
  expect(await net.client.messages(peer.name)).toEqual([came, sent]);
  expect(await net.client.messages('another')).toEqual([]);
  await expect(net.client.sendMessage({ peer: 'nobody', text: 'hello' })).rejects.toMatchObject({ code: 'not-found' });
});

test.each([
  ['no text', { peer: 'a' }],
  ['a blank text', { peer: 'a', text: ' \n ' }],
  ['a text that is too long', { peer: 'a', text: 'x'.repeat(CHAT_CHARS_MAX + 1) }],
  ['no peer', { text: 'hello' }],
  ['a key that is not known', { peer: 'a', text: 'hello', from: 'somebody else' }],
])('a message with %s is refused', async (_what, body) => {
  await using net = await startGateway({ backend: { peers: [peer] } });
  const reply = await send(net.port, {
    method: 'POST',
    path: '/api/net/messages',
    headers: json,
    body: JSON.stringify(body),
  });
  expect([reply.status, JSON.parse(reply.text).code]).toEqual([400, 'invalid']);
  expect(await net.client.messages()).toEqual([]);
});

test('without the token nothing is told or sent, and no other verb is taken', async () => {
  await using net = await startGateway({ backend: { peers: [peer], messages: [came] } });
  const path = '/api/net/messages';
  for (const method of ['GET', 'POST']) expect((await send(net.port, { method, path })).status).toBe(401);
  const put = await send(net.port, { method: 'PUT', path, headers: authorized });
  expect([put.status, put.headers.allow]).toEqual([405, 'GET or POST']);
});
