import { once } from 'node:events';
import { request, type ServerResponse } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Connection, createHttpTransport, createWebSocketTransport } from '@skein/mesh';
import { createSelfSignedCertificate, rejection, watchConnection } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { type HttpDialect, HttpServer, type HttpServerParts } from './http-server.ts';

const NEVER = new AbortController().signal;
const UPGRADE = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'A==' };

describe('a dialect on the port', () => {
  test('gets the requests it handles at the door of peers, and nobody else does', async () => {
    await using server = await start({ dialects: [createDialect()] });
    expect(await server.ask('/other/info')).toEqual([200, 'dialect']);
    expect(await server.ask('/else')).toEqual([404, 'page']);
  });

  test('never gets what a page asks', async () => {
    await using server = await start({ dialects: [createDialect()] });
    expect(await server.ask('/other/info', { origin: 'http://127.0.0.1' })).toEqual([404, 'page']);
    expect(await server.upgrade('/other', { Origin: 'http://127.0.0.1' })).toContain('403');
  });

  test('gets nothing where peers are not heard', async () => {
    await using server = await start({ dialects: [createDialect()], isPeerDoor: () => false });
    expect(await server.ask('/other/info')).toEqual([404, 'page']);
    expect(await server.ask('/skein/v1/open', {}, 'POST')).toEqual([404, 'page']);
    expect(await server.upgrade('/other')).toContain('403');
  });

  test('gets an upgrade that does not offer our own protocol, and none that does', async () => {
    await using server = await start({ dialects: [createDialect()] });
    expect(await server.upgrade('/other')).toBe('HTTP/1.1 101 Dialect');
    expect(await server.upgrade('/other', { 'Sec-WebSocket-Protocol': 'chat' })).toBe('HTTP/1.1 101 Dialect');
    const transport = createWebSocketTransport();
    const near = await transport.dial(`ws://127.0.0.1:${server.port}/other`, { signal: NEVER });
    expect((await server.accepted()).transport).toBe('websocket');
    near.cut('done');
  });
});

test('a session comes in over requests, and over a WebSocket, through the same port', async () => {
  await using server = await start();
  for (const transport of [createHttpTransport(), createWebSocketTransport()]) {
    const near = await transport.dial(`${transport.schemes[0]}://127.0.0.1:${server.port}`, { signal: NEVER });
    const far = await server.accepted();
    const watch = watchConnection(far);
    watchConnection(near);
    near.send(Buffer.from('hello'));
    expect((await watch.got(1)).join()).toBe('hello');
    near.close('done');
    await watch.closed;
  }
});

test('what is said as it stops still leaves over requests that wait, and its port is free at once', async () => {
  const server = await start();
  const near = await createHttpTransport().dial(`http://127.0.0.1:${server.port}`, { signal: NEVER });
  const far = await server.accepted();
  const watch = watchConnection(near);
  watchConnection(far);
  far.send(Buffer.from('first'));
  await watch.got(1);
  await server[Symbol.asyncDispose]();
  expect((await rejection(createHttpTransport().dial(`http://127.0.0.1:${server.port}`, { signal: NEVER }))).code).toBe(
    'unavailable',
  );
  far.send(Buffer.from('goodbye'));
  far.close('this node is stopping');
  expect(await watch.closed).toBe('the other end closed');
  expect(watch.records.join()).toBe('first,goodbye');
});

test('who says nothing, or never comes to the end of a request’s head, is gone within 12 s, and nobody else is', {
  timeout: 20_000,
}, async () => {
  const held: ServerResponse[] = [];
  await using server = await start({
    onRequest: (request, response) => {
      held.push(response);
      if (request.url === '/stream') response.write('begun ');
    },
  });
  const near = await createWebSocketTransport().dial(`ws://127.0.0.1:${server.port}`, { signal: NEVER });
  const watch = watchConnection(await server.accepted());
  watchConnection(near);
  const answers = ['/poll', '/stream'].map((path) => server.ask(path));
  const startedAtMs = performance.now();
  const lifetimes = ['', 'GET / HT', 'GET / HTTP/1.1\r\nHost: x\r\n'].map(async (said) => {
    const socket = connectPlain(server.port, '127.0.0.1');
    socket.on('error', () => socket.destroy());
    socket.write(said);
    // A word now and then does not help one that goes on with its head.
    const dripping = setInterval(() => said === '' || socket.write(said.endsWith('\n') ? 'a: b\r\n' : ''), 1_000);
    socket.resume();
    await once(socket, 'close');
    clearInterval(dripping);
    return performance.now() - startedAtMs;
  });
  for (const lifetimeMs of await Promise.all(lifetimes)) expect(lifetimeMs).toBeLessThan(13_000);
  expect(performance.now() - startedAtMs, 'a slow line has 10 s').toBeGreaterThan(9_500);
  near.send(Buffer.from('still here'));
  expect((await watch.got(1)).join()).toBe('still here');
  near.cut('done');
  for (const response of held) response.end('answered');
  expect(await Promise.all(answers)).toEqual([
    [200, 'answered'],
    [200, 'begun answered'],
  ]);
});

describe('with a certificate', () => {
  test('speaks TLS to peers, by WebSocket and by requests, and to pages', async () => {
    await using server = await start({ certificate: pem(createSelfSignedCertificate()) });
    for (const [transport, scheme] of [
      [createWebSocketTransport(), 'wss'],
      [createHttpTransport(), 'https'],
    ] as const) {
      const near = await transport.dial(`${scheme}://127.0.0.1:${server.port}`, { signal: NEVER });
      const watch = watchConnection(await server.accepted());
      watchConnection(near);
      const record = Buffer.alloc(8_000, 1);
      near.send(record);
      expect((await watch.got(1))[0]?.equals(record)).toBe(true);
      near.close('done');
      await watch.closed;
    }
    const socket = connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect((await textOf(socket)).slice(0, 12)).toBe('HTTP/1.1 404');
  });

  test('still speaks plainly to this machine', async () => {
    await using server = await start({ certificate: pem(createSelfSignedCertificate()) });
    expect(await server.ask('/')).toEqual([404, 'page']);
  });

  test('shows a renewed one to who comes, and who is there stays', async () => {
    const [before, after] = [createSelfSignedCertificate('before'), createSelfSignedCertificate('after')];
    await using server = await start({ certificate: pem(before) });
    const near = await createWebSocketTransport().dial(`wss://127.0.0.1:${server.port}`, { signal: NEVER });
    const watch = watchConnection(await server.accepted());
    watchConnection(near);
    expect(await server.certificateName()).toBe('before');
    server.renew(pem(after));
    expect(await server.certificateName()).toBe('after');
    near.send(Buffer.from('still here'));
    expect((await watch.got(1)).join()).toBe('still here');
    near.cut('done');
  });

  test.each([
    ['junk that begins like TLS', Buffer.concat([Buffer.of(0x16, 3, 1, 2, 0), Buffer.alloc(512, 0xff)])],
    ['junk that begins like nothing', Buffer.alloc(64, 0xff)],
    ['an end at once', Buffer.alloc(0)],
  ])('%s ends that connection and nothing else', async (_name, bytes) => {
    await using server = await start({ certificate: pem(createSelfSignedCertificate()) });
    const socket = connectPlain(server.port, '127.0.0.1');
    socket.on('error', () => socket.destroy());
    const gone = once(socket, 'close');
    socket.resume();
    if (bytes.length === 0) socket.end();
    else socket.write(bytes);
    await gone;
    expect(await server.ask('/')).toEqual([404, 'page']);
  });
});

function pem({ cert, key }: { readonly cert: string; readonly key: string }) {
  return { cert: Buffer.from(cert), key: Buffer.from(key) };
}

/** Handles what is below `/other`, and says so. */
function createDialect(): HttpDialect {
  return {
    handles: ({ url }) => url?.startsWith('/other') ?? false,
    onRequest: (_request, response) => void response.end('dialect'),
    onUpgrade: (_request, socket) => void socket.end('HTTP/1.1 101 Dialect\r\n\r\n'),
  };
}

/** An HTTP server on loopback whose page answers 404. */
async function start(parts: Partial<HttpServerParts> = {}) {
  const ready: Connection[] = [];
  const wanted: ((connection: Connection) => void)[] = [];
  const server = new HttpServer({
    host: '127.0.0.1',
    port: 0,
    maxConnections: 100,
    isPeerDoor: () => true,
    dialects: [],
    onRequest: (_request, response) => response.writeHead(404).end('page'),
    onConnection: (connection) => {
      const next = wanted.shift();
      if (next === undefined) ready.push(connection);
      else next(connection);
    },
    ...parts,
  });
  const port = await server.start();
  return {
    port,
    renew: (certificate: Parameters<HttpServer['renew']>[0]) => server.renew(certificate),
    accepted: () =>
      new Promise<Connection>((resolve) => {
        const next = ready.shift();
        if (next === undefined) wanted.push(resolve);
        else resolve(next);
      }),
    async ask(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') {
      const asking = request({ host: '127.0.0.1', port, path, headers, method, agent: false });
      asking.end();
      const [response] = await once(asking, 'response');
      return [response.statusCode, await textOf(response)] as const;
    },
    /** The first line of the answer to an upgrade. */
    async upgrade(path: string, headers: Readonly<Record<string, string>> = {}) {
      const socket = connectPlain(port, '127.0.0.1');
      const lines = Object.entries({ Host: 'x', ...UPGRADE, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
      return (await textOf(socket)).split('\r\n')[0] ?? '';
    },
    async certificateName() {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return subject.CN;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function textOf(stream: Socket | AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const bytes of stream) text += String(bytes);
  return text;
}
