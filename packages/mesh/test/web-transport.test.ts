import { connect as connectTo, createServer, type Socket } from 'node:net';
import { RECORD_BYTES_MAX } from '@skein/protocol';
import { BufferingProxy, type ProxyManners, rejection, VirtualClock, watchConnection } from '@skein/testing';
import { expect, test } from 'vitest';
import { type Connection, createWebTransport, type Transport } from '../src/index.ts';
import { nobodyAt, startWebPlace, type WebPlace } from './web-place.ts';
import { listen } from './websocket-place.ts';

const NEVER = new AbortController().signal;

test.each(['ws', 'http'])('an address with %s is dialled by WebSocket where one gets through', async (scheme) => {
  await using place = await startWebPlace();
  const { near, far } = await connect(createWebTransport(), `${scheme}://127.0.0.1:${place.port}/any/path`, place);
  expect([near.transport, far.transport]).toEqual(['websocket', 'websocket']);
});

test.each<ProxyManners['upgrades']>(['refuse', 'reset', 'swallow'])(
  'where a proxy answers upgrades so: %s, the same dial goes on over HTTP',
  async (upgrades) => {
    await using place = await startWebPlace();
    await using proxy = await BufferingProxy.start(place.port, { ...(upgrades === undefined ? {} : { upgrades }) });
    const { near, far } = await connect(createWebTransport(), proxy.url, place);
    expect([near.transport, far.transport]).toEqual(['http', 'http']);
    const [nearWatch, farWatch] = [watchConnection(near), watchConnection(far)];
    near.send(Buffer.from('there'));
    far.send(Buffer.from('back'));
    expect((await farWatch.got(1)).join()).toBe('there');
    expect((await nearWatch.got(1)).join()).toBe('back');
    near.close('done');
    await farWatch.closed;
  },
);

test('an address where no WebSocket gets through is remembered, and tried again after waits that double', async () => {
  await using place = await startWebPlace();
  await using proxy = await BufferingProxy.start(place.port);
  const clock = new VirtualClock();
  const transport = createWebTransport({ clock, random: () => 1 });
  const upgradesOfADial = async () => {
    const before = proxy.upgrades;
    const { near } = await connect(transport, proxy.url, place);
    expect(near.transport).toBe('http');
    near.cut('again');
    return proxy.upgrades - before;
  };
  expect(await upgradesOfADial()).toBe(1);
  for (const waitMs of [30_000, 60_000, 120_000]) {
    await clock.advance(waitMs - 1);
    expect(await upgradesOfADial(), `${waitMs} ms less one`).toBe(0);
    await clock.advance(1);
    expect(await upgradesOfADial(), `${waitMs} ms`).toBe(1);
  }
});

test('where nobody listens nothing more is tried, and nothing is remembered', async () => {
  const url = await nobodyAt('ws');
  const transport = createWebTransport();
  const sinceMs = performance.now();
  expect((await rejection(transport.dial(url, { signal: NEVER }))).code).toBe('unavailable');
  // An upgrade that is waited for takes four.
  expect(performance.now() - sinceMs).toBeLessThan(3_500);
});

test('a server that is no node is told as what it answered to the upgrade, each time anew', async () => {
  let upgrades = 0;
  const server = createServer((socket: Socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      if (bytes.includes('Upgrade')) upgrades += 1;
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
    });
  });
  const port = await listen(server);
  const transport = createWebTransport();
  for (const times of [1, 2]) {
    const error = await rejection(transport.dial(`ws://127.0.0.1:${port}`, { signal: NEVER }));
    expect(error.message).toContain('Unexpected server response: 404');
    expect(upgrades).toBe(times);
  }
  server.close();
});

test('a dial that is stopped in the middle of an upgrade does not go on over HTTP', async () => {
  await using place = await startWebPlace();
  await using proxy = await BufferingProxy.start(place.port, { upgrades: 'swallow' });
  const stop = new AbortController();
  const dial = rejection(createWebTransport().dial(proxy.url, { signal: stop.signal }));
  while (proxy.upgrades === 0) await new Promise(setImmediate);
  stop.abort();
  expect((await dial).code).toBe('canceled');
  expect(proxy.count).toBe(0);
});

test.each<readonly [string, ProxyManners]>([
  ['is as fast as the requests', {}],
  ['is faster than the requests', { requestDelayMs: 8, upgradeDelayMs: 4 }],
  ['is slower than the requests', { requestDelayMs: 2, upgradeDelayMs: 10 }],
])('a connection over HTTP goes on over a WebSocket that %s, without a seam under full load', async (_name, delays) => {
  for (let round = 0; round < 5; round += 1) {
    await using place = await startWebPlace();
    await using proxy = await BufferingProxy.start(place.port);
    const clock = new VirtualClock();
    const { near, far } = await connect(createWebTransport({ clock, random: () => 1 }), proxy.url, place);
    const watches = [watchConnection(near), watchConnection(far)] as const;
    let sent = 0;
    const sendOn = async (until: () => boolean) => {
      while (!until()) {
        for (const [at, end] of [near, far].entries()) {
          const drained = watches[at]?.drained();
          if (!end.send(recordOf(sent))) await drained;
        }
        sent += 1;
        if (sent % 3 === 0) await new Promise(setImmediate);
      }
    };
    await sendOn(() => sent >= 50);
    proxy.manners = { upgrades: 'pass', ...delays };
    await clock.advance(30_000);
    // What was under way in that leap is tried again, after a while.
    let isOver = false;
    const goOn = async () => {
      while (!isOver) await clock.advance(1);
    };
    const time = goOn();
    await sendOn(() => near.transport === 'websocket' && far.transport === 'websocket');
    isOver = true;
    await time;
    // The last requests may still be on their way to the proxy.
    const [soon, atLeast] = [sent + 50, sent + 150];
    await sendOn(() => sent >= soon);
    const requests = proxy.count;
    await sendOn(() => sent >= atLeast);
    for (const { got, closes } of watches) {
      const records = await got(sent);
      expect(records.length).toBe(sent);
      expect(records.every((record, at) => recordOf(at).equals(record))).toBe(true);
      expect(closes).toEqual([]);
    }
    expect(proxy.count, 'no more requests').toBe(requests);
    far.close('enough');
    expect(await watches[0].closed).toBe('the other end closed');
    expect(await watches[1].closed).toBe('enough');
  }
});

test('a WebSocket that does not come to carry leaves the connection as it was', async () => {
  await using place = await startWebPlace();
  await using proxy = await BufferingProxy.start(place.port);
  const clock = new VirtualClock();
  const { near, far } = await connect(createWebTransport({ clock, random: () => 1 }), proxy.url, place);
  const watch = watchConnection(near);
  for (const upgrades of ['refuse', 'reset'] as const) {
    proxy.manners = { upgrades };
    const before = proxy.upgrades;
    while (proxy.upgrades === before) await clock.advance(10_000);
    far.send(Buffer.from('still'));
  }
  expect((await watch.got(2)).join()).toBe('still,still');
  expect([near.transport, watch.closes]).toEqual(['http', []]);
  near.cut('done');
});

test('nobody carries on a connection by a WebSocket that does not name it, or that has proven nothing yet', async () => {
  await using place = await startWebPlace();
  const opened = await fetch(`http://127.0.0.1:${place.port}/skein/v1/open`, { method: 'POST' });
  const far = await place.accepted();
  const watch = watchConnection(far);
  const id = opened.headers.get('skein-connection') ?? '';
  expect(id).toMatch(/^[\w-]{43}$/);
  for (const [name, admit] of [
    [id, false],
    [`${id.slice(1)}A`, true],
    ['', true],
  ] as const) {
    if (admit) far.admit(RECORD_BYTES_MAX);
    const answer = await fetch(`http://127.0.0.1:${place.port}/skein/v1/down`, { headers: { 'skein-connection': `${name}x` } });
    expect(answer.status).toBe(410);
    expect(await upgradeStatus(place, name)).toBe(410);
  }
  expect(await upgradeStatus(place, id)).toBe(101);
  expect(watch.closes).toEqual([]);
  far.cut('done');
});

/** A record of some hundred bytes to some thousand, that says which one it is. */
function recordOf(number: number): Buffer {
  const record = Buffer.alloc(8 + ((number * 397) % 5_000), number);
  record.writeUInt32BE(number);
  return record;
}

async function upgradeStatus(place: WebPlace, id: string): Promise<number> {
  const socket = connectTo(place.port, '127.0.0.1');
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
      `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: skein.1\r\nSkein-Connection: ${id}\r\n\r\n`,
  );
  const bytes: Buffer = await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  return Number(bytes.toString('latin1').slice(9, 12));
}

async function connect(
  transport: Transport,
  url: string,
  place: WebPlace,
): Promise<{ readonly near: Connection; readonly far: Connection }> {
  const [near, far] = await Promise.all([transport.dial(url, { signal: NEVER }), place.accepted()]);
  for (const end of [near, far]) end.admit(RECORD_BYTES_MAX);
  return { near, far };
}
