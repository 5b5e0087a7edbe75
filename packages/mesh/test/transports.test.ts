import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import {
  BufferingProxy,
  type ProxyManners,
  rejection,
  TRANSPORT_PROMISES,
  type TransportPlace,
  watchConnection,
} from '@skein/testing';
import { describe, expect, test } from 'vitest';
import {
  createHttpTransport,
  createWebSocketTransport,
  createWebTransport,
  MemoryNetwork,
  type Transport,
} from '../src/index.ts';
import { nobodyAt, startWebPlace } from './web-place.ts';
import { Accepted, clientFrame, listen, startWebSocketPlace, upgradeByHand } from './websocket-place.ts';

const TEXT = 1;
const BINARY = 2;
const PING = 9;
/** The library waits thirty seconds for the other side to close as well. */
const POLITE_MS = 10_000;

const TRANSPORTS: readonly (readonly [string, () => Promise<TransportPlace>])[] = [
  ['memory', startMemoryPlace],
  ['WebSocket', () => startWebSocketPlace()],
  ['HTTP', () => startHttpPlace(createHttpTransport(), 'http')],
  ['HTTP behind a proxy that buffers', () => startHttpPlace(createHttpTransport(), 'http', {})],
  ['WebSocket, chosen', () => startHttpPlace(createWebTransport(), 'ws')],
  ['HTTP, chosen where an upgrade is refused', () => startHttpPlace(createWebTransport(), 'ws', {})],
];

describe.each(TRANSPORTS)('over %s', (_name, open) => {
  test.each(TRANSPORT_PROMISES)('$promise', async ({ keep }) => {
    await using place = await open();
    await keep(place);
  });
});

test('a text frame is refused', async () => {
  await using place = await startWebSocketPlace();
  const socket = await upgradeByHand(place.port);
  const watch = watchConnection(await place.accepted());
  const gone = once(socket, 'close');
  socket.write(clientFrame(TEXT, Buffer.from('hello')));
  expect(await watch.closed).toContain('text frame');
  await gone;
  expect(watch.records).toEqual([]);
});

test('an unfinished record of a stranger is cut off long before it fills its bound', async () => {
  await using place = await startWebSocketPlace();
  const socket = await upgradeByHand(place.port);
  const connection = await place.accepted();
  const watch = watchConnection(connection);
  const gone = once(socket, 'close');
  socket.write(clientFrame(BINARY, Buffer.alloc(0), { declaredBytes: 1_000_000 }));
  let sent = 0;
  while (!socket.destroyed && sent < 1_000_000) {
    socket.write(Buffer.alloc(1_024));
    sent += 1_024;
    await new Promise(setImmediate);
  }
  expect(await watch.closed).toContain('more came');
  await gone;
  expect(connection.arrived).toBeLessThan(17 * 1_024 + 65_536);
});

test.each([
  ['a header that declares more than any record', clientFrame(BINARY, Buffer.alloc(0), { declaredBytes: 2 ** 40 })],
  ['a frame without a mask', Buffer.of(0x82, 1, 7)],
  ['reserved bits', Buffer.concat([Buffer.of(0xf2), clientFrame(BINARY, Buffer.of(1)).subarray(1)])],
  ['an unknown kind of frame', clientFrame(0x0b, Buffer.of(1))],
  ['a piece of a record that never began', clientFrame(0, Buffer.of(1))],
])('%s ends the connection at once, not after a polite wait', async (_name, bytes) => {
  await using place = await startWebSocketPlace();
  const socket = await upgradeByHand(place.port);
  const watch = watchConnection(await place.accepted());
  const gone = once(socket, 'close');
  const sinceMs = performance.now();
  socket.write(bytes);
  await watch.closed;
  await gone;
  expect(performance.now() - sinceMs).toBeLessThan(POLITE_MS);
  expect(watch.records).toEqual([]);
});

test('a far end that pings without reading the answers is cut off, and its answers take no memory', async () => {
  await using place = await startWebSocketPlace();
  const socket = await upgradeByHand(place.port);
  const connection = await place.accepted();
  connection.admit(1_000_000);
  const watch = watchConnection(connection);
  socket.pause();
  const pings = Buffer.concat(Array.from({ length: 1_000 }, () => clientFrame(PING, Buffer.alloc(125))));
  const before = process.memoryUsage().rss;
  const gone = new Promise((resolve) => socket.once('close', resolve));
  while (!socket.destroyed && watch.closes.length === 0) {
    const room = new Promise((resolve) => socket.once('drain', resolve));
    if (!socket.write(pings)) await Promise.race([room, gone, watch.closed]);
    await new Promise(setImmediate);
  }
  await watch.closed;
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
});

test('a far end that takes the bytes of the upgrade and never answers holds the dialler no longer than it likes', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
  const port = await listen(server);
  const stop = new AbortController();
  const connected = once(server, 'connection');
  const dial = rejection(createWebSocketTransport().dial(`ws://127.0.0.1:${port}`, { signal: stop.signal }));
  await connected;
  stop.abort();
  expect((await dial).code).toBe('canceled');
  for (const socket of sockets) if (!socket.closed) await once(socket.resume(), 'close');
  server.close();
});

test.each([
  ['a page', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'],
  ['a redirect elsewhere', 'HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n'],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n'],
])('a server that answers with %s is not a peer', async (_name, answer) => {
  const server = createServer((socket) => socket.on('error', () => {}).end(answer));
  const port = await listen(server);
  const { signal } = new AbortController();
  expect((await rejection(createWebSocketTransport().dial(`ws://127.0.0.1:${port}`, { signal }))).code).toBe('unavailable');
  server.close();
});

/** A node's server, behind a proxy when its manners are given. */
async function startHttpPlace(transport: Transport, scheme: 'ws' | 'http', manners?: ProxyManners): Promise<TransportPlace> {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await startWebPlace());
  const proxy = manners === undefined ? undefined : stack.use(await BufferingProxy.start(place.port, manners));
  const nobodyUrl = await nobodyAt(scheme);
  const kept = stack.move();
  return {
    transport,
    url: `${scheme}://127.0.0.1:${proxy?.port ?? place.port}`,
    nobodyUrl,
    accepted: () => place.accepted(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function startMemoryPlace(): Promise<TransportPlace> {
  const transport = new MemoryNetwork();
  const accepted = new Accepted();
  const stop = transport.listen('here', (connection) => accepted.push(connection));
  return {
    transport,
    url: 'memory://here',
    nobodyUrl: 'memory://nowhere',
    accepted: () => accepted.next(),
    [Symbol.asyncDispose]: async () => stop(),
  };
}
