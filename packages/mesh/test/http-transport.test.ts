import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { HANDSHAKE_BYTES_MAX, RECORD_BYTES_MAX } from '@skein/protocol';
import { BufferingProxy, type ProxyManners, VirtualClock, watchConnection } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { type Connection, createHttpTransport } from '../src/index.ts';
import { startWebPlace, type WebPlace } from './web-place.ts';

/** Half a second where nothing else runs; to wait until silence says the same takes fifteen. */
const SOON_MS = 7_000;

const NEVER = new AbortController().signal;

describe('through a proxy that reads everything to its end', () => {
  test.each<readonly [string, ProxyManners]>([
    ['and is otherwise honest', {}],
    ['and loses every third answer', { losesAnswer: (count) => count % 3 === 0 }],
    ['and sends every third request twice', { repeats: (count) => count % 3 === 0 }],
    ['and does both', { losesAnswer: (count) => count % 3 === 0, repeats: (count) => count % 4 === 0 }],
  ])('%s, each record arrives once and in order, both ways', async (_name, manners) => {
    await using place = await startWebPlace();
    await using proxy = await BufferingProxy.start(place.port);
    const { near, far } = await connect(place, proxy.url);
    proxy.manners = manners;
    const [nearWatch, farWatch] = [watchConnection(near), watchConnection(far)];
    const records = Array.from({ length: 200 }, (_, at) => Buffer.alloc(1 + ((at * 997) % 20_000), at));
    for (const record of records) {
      near.send(record);
      far.send(record);
      if (record[0] !== undefined && record[0] % 10 === 0) await new Promise(setImmediate);
    }
    for (const watch of [nearWatch, farWatch]) {
      const got = await watch.got(records.length);
      expect(got.every((record, at) => records[at]?.equals(record))).toBe(true);
      expect(watch.closes).toEqual([]);
    }
    near.close('done');
    await farWatch.closed;
    expect([nearWatch.records.length, farWatch.records.length]).toEqual([records.length, records.length]);
  });

  test('and cuts what takes long, the connection lasts and what comes after each cut arrives', async () => {
    await using place = await startWebPlace();
    await using proxy = await BufferingProxy.start(place.port, { cutAfterMs: 1_100 });
    const { near, far } = await connect(place, proxy.url);
    const [nearWatch, farWatch] = [watchConnection(near), watchConnection(far)];
    const before = proxy.count;
    // The third request that waits: two were cut.
    await proxy.counted(before + 3);
    far.send(Buffer.from('still'));
    near.send(Buffer.from('there'));
    expect((await nearWatch.got(1)).join()).toBe('still');
    expect((await farWatch.got(1)).join()).toBe('there');
    near.close('done');
    await farWatch.closed;
  });

  test('the largest record crosses in bodies that a proxy with a bound of half its size lets through', async () => {
    await using place = await startWebPlace();
    const { near, far } = await connect(place, place.url);
    const farWatch = watchConnection(far);
    const nearWatch = watchConnection(near);
    const record = Buffer.alloc(RECORD_BYTES_MAX, 7);
    near.send(record);
    far.send(record);
    expect((await farWatch.got(1))[0]?.equals(record)).toBe(true);
    expect((await nearWatch.got(1))[0]?.equals(record)).toBe(true);
    near.close('done');
    await farWatch.closed;
  });
});

test('an end that pauses, or that nobody has attached to, takes in no more than a body, and loses nothing', async () => {
  await using place = await startWebPlace();
  for (const attached of [true, false]) {
    for (const turned of [false, true]) {
      const { near, far } = await connect(place, place.url);
      const [from, to] = turned ? [far, near] : [near, far];
      const sender = watchConnection(from);
      let receiver = attached ? watchConnection(to) : undefined;
      to.pause();
      const records = Array.from({ length: 100 }, (_, at) => Buffer.alloc(30_000, at));
      for (const record of records) from.send(record);
      for (let turn = 0; turn < 300; turn += 1) await new Promise(setImmediate);
      expect(to.arrived).toBeLessThan(400_000);
      receiver ??= watchConnection(to);
      to.resume();
      expect((await receiver.got(100)).every((record, at) => records[at]?.equals(record))).toBe(true);
      expect(sender.closes).toEqual([]);
      near.cut('done');
    }
  }
});

describe('a dialler that goes', () => {
  test('without a word is gone soon after its waiting request, with whatever it had under way', async () => {
    await using place = await startWebPlace();
    const { id, far } = await openByHand(place);
    const watch = watchConnection(far);
    const poll = ask(place, 'GET', 'down', { 'skein-connection': id, 'skein-offset': 0, 'skein-max-bytes': 1_000 });
    // A request that is answered after it says that the one before has arrived.
    await answered(place, 'POST', 'up', { 'skein-connection': id, 'skein-offset': 0 });
    const sinceMs = performance.now();
    poll.destroy();
    expect(await watch.closed).toBe('the connection broke');
    expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
  });

  test.each(['after', 'before'] as const)(
    '%s its answer was sent is gone within a second of the request it holds',
    async (when) => {
      await using place = await startWebPlace();
      const opened = await openByHand(place);
      const watch = watchConnection(opened.far);
      // A request that is answered after another says that the one before has come to where it goes.
      const settled = () => answered(place, 'POST', 'up', { ...of(opened), 'skein-offset': 0 });
      const poll = ask(place, 'GET', 'down', { ...of(opened), 'skein-offset': 0, 'skein-max-bytes': 1_000 });
      const first = ask(place, 'GET', 'hold', of(opened));
      await settled();
      const second = ask(place, 'GET', 'hold', of(opened));
      const [replaced]: IncomingMessage[] = await once(first, 'response');
      expect(replaced?.statusCode).toBe(200);
      const sinceMs = performance.now();
      if (when === 'after') {
        opened.far.send(Buffer.from('on its way'));
        await once(poll, 'response');
        second.destroy();
      } else {
        second.destroy();
        await settled();
        opened.far.send(Buffer.from('on its way'));
      }
      expect(await watch.closed).toBe('the connection broke');
      expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
    },
  );

  test('silent is gone when it has not asked for 15 s, and one that waits for an answer is not', async () => {
    const clock = new VirtualClock();
    await using place = await startWebPlace({ clock });
    const { far } = await openByHand(place);
    const watch = watchConnection(far);
    await clock.advance(14_999);
    expect(watch.closes).toEqual([]);
    await clock.advance(1);
    expect(watch.closes).toEqual(['the connection broke']);

    const waiting = await openByHand(place);
    const waitingWatch = watchConnection(waiting.far);
    const poll = ask(place, 'GET', 'down', { ...of(waiting), 'skein-offset': 0, 'skein-max-bytes': 1_000 });
    await answered(place, 'POST', 'up', { ...of(waiting), 'skein-offset': 0 });
    await clock.advance(19_999);
    expect(waitingWatch.closes).toEqual([]);
    const answer = once(poll, 'response');
    await clock.advance(1);
    const [response]: IncomingMessage[] = await answer;
    expect([response?.statusCode, response?.headers['content-length']]).toEqual([200, '0']);
    waiting.far.cut('done');
  });
});

test('a node that goes without a word is gone at once for who dialled it', async () => {
  await using place = await startWebPlace();
  const { near, far } = await connect(place, place.url);
  const watch = watchConnection(near);
  watchConnection(far);
  near.send(Buffer.from('x'));
  const sinceMs = performance.now();
  place.kill();
  expect(await watch.closed).toContain('the connection broke');
  expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
});

test('a node that forgot the connection says so, and it ends', async () => {
  await using place = await startWebPlace();
  await using proxy = await BufferingProxy.start(place.port);
  const { near, far } = await connect(place, proxy.url);
  const watch = watchConnection(near);
  far.cut('forgotten');
  expect(await watch.closed).toBe('the other end closed');
});

describe('what a stranger sends', () => {
  test('beyond what a handshake has is cut off, in one request or in many', async () => {
    await using place = await startWebPlace();
    for (const bodyBytes of [1_000, 200_000]) {
      const opened = await openByHand(place);
      const watch = watchConnection(opened.far);
      const body = Buffer.concat(
        Array.from({ length: bodyBytes / 1_000 }, () => Buffer.concat([Buffer.of(0, 0, 3, 228), Buffer.alloc(996)])),
      );
      let at = 0;
      while (watch.closes.length === 0 && at < 1_000_000) {
        await answered(place, 'POST', 'up', { ...of(opened), 'skein-offset': at }, body).catch(() => undefined);
        at += body.length;
      }
      expect(watch.closes).toEqual(['more came than a handshake has']);
      expect(opened.far.arrived).toBeLessThan(2 * HANDSHAKE_BYTES_MAX + 65_537);
    }
  });

  test('that declares a record above the bound ends at once, before any of it has come', async () => {
    await using place = await startWebPlace();
    const opened = await openByHand(place);
    const watch = watchConnection(opened.far);
    await answered(place, 'POST', 'up', { ...of(opened), 'skein-offset': 0 }, Buffer.from('7fffffff', 'hex'));
    expect(watch.closes).toEqual(['a record of 2147483647 bytes is over the bound']);
  });

  test.each<readonly [string, 'GET' | 'POST', string, OutgoingHttpHeaders, number]>([
    ['names no connection', 'POST', 'up', { 'skein-offset': 0 }, 410],
    ['names one that is not there', 'GET', 'down', { 'skein-connection': 'A'.repeat(43), 'skein-offset': 0 }, 410],
    ['comes from a page', 'POST', 'open', { origin: 'http://localhost' }, 403],
    ['asks to open in the wrong way', 'GET', 'open', {}, 405],
  ])('that %s is refused', async (_name, method, route, headers, status) => {
    await using place = await startWebPlace();
    expect((await answered(place, method, route, headers)).statusCode).toBe(status);
  });

  test.each<readonly [string, 'GET' | 'POST', string, OutgoingHttpHeaders, number]>([
    ['leaves something out', 'POST', 'up', { 'skein-offset': 1 }, 409],
    ['says nothing of its place', 'POST', 'up', {}, 409],
    ['has got more than was sent', 'GET', 'down', { 'skein-offset': 1, 'skein-max-bytes': 10 }, 409],
    ['wants nothing', 'GET', 'down', { 'skein-offset': 0, 'skein-max-bytes': 0 }, 409],
  ])('on an open connection that %s is refused, and the connection goes on', async (_name, method, route, headers, status) => {
    await using place = await startWebPlace();
    const opened = await openByHand(place);
    const watch = watchConnection(opened.far);
    expect((await answered(place, method, route, { ...of(opened), ...headers })).statusCode).toBe(status);
    expect(watch.closes).toEqual([]);
  });

  test('in one body beyond the bound is refused though it is admitted', async () => {
    await using place = await startWebPlace();
    const opened = await openByHand(place);
    opened.far.admit(RECORD_BYTES_MAX);
    watchConnection(opened.far);
    const body = Buffer.alloc(300_000, 0);
    body.writeUInt32BE(1_000_000);
    const refusal = await answered(place, 'POST', 'up', { ...of(opened), 'skein-offset': 0 }, body).catch(() => undefined);
    expect(refusal?.statusCode ?? 413).toBe(413);
    expect(opened.far.arrived).toBeLessThan(300_000);
  });

  test('in many requests at once, to one that takes nothing, waits outside', async () => {
    await using place = await startWebPlace();
    const opened = await openByHand(place);
    opened.far.admit(RECORD_BYTES_MAX);
    const watch = watchConnection(opened.far);
    opened.far.pause();
    const body = Buffer.alloc(200_000);
    for (let at = 0; at < body.length; at += 10_000) body.writeUInt32BE(9_996, at);
    const asked: ClientRequest[] = [];
    for (let times = 0; times < 50; times += 1) {
      const { arrived } = opened.far;
      asked.push(ask(place, 'POST', 'up', { ...of(opened), 'skein-offset': arrived }, body));
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    }
    expect(opened.far.arrived).toBeLessThan(300_000);
    expect(watch.closes).toEqual([]);
    for (const one of asked) one.destroy();
    opened.far.cut('done');
  });

  test('to open more connections than there may be is refused, until one has ended', async () => {
    await using place = await startWebPlace({ maxConnections: 2 });
    const first = await openByHand(place);
    await openByHand(place);
    expect((await answered(place, 'POST', 'open')).statusCode).toBe(503);
    first.far.cut('room');
    expect((await answered(place, 'POST', 'open')).statusCode).toBe(200);
  });

  test('finds no connection that was refused as it opened', async () => {
    await using place = await startWebPlace({ accept: (connection) => connection.close('too many strangers') });
    const error = await createHttpTransport()
      .dial(place.url.replace('ws', 'http'), { signal: NEVER })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'unavailable' });
  });
});

interface Opened {
  readonly id: string;
  readonly far: Connection;
}

function of({ id }: Opened): OutgoingHttpHeaders {
  return { 'skein-connection': id };
}

async function openByHand(place: WebPlace): Promise<Opened> {
  const [response, far] = await Promise.all([answered(place, 'POST', 'open'), place.accepted()]);
  const id = response.headers['skein-connection'];
  if (typeof id !== 'string') throw new Error('no connection was opened');
  return { id, far };
}

function ask(place: WebPlace, method: string, route: string, headers: OutgoingHttpHeaders = {}, body?: Buffer): ClientRequest {
  const path = `/skein/v1/${route}`;
  const asking = request({ host: '127.0.0.1', port: place.port, method, path, headers, agent: false });
  asking.on('error', () => asking.destroy());
  asking.end(body);
  return asking;
}

async function answered(...args: Parameters<typeof ask>): Promise<IncomingMessage> {
  const asking = ask(...args);
  const gone = once(asking, 'close').then(() => Promise.reject(new Error('no answer came')));
  const [response]: IncomingMessage[] = await Promise.race([once(asking, 'response'), gone]);
  gone.catch(() => undefined);
  if (response === undefined) throw new Error('no answer came');
  response.resume();
  return response;
}

/** Both ends of a connection that is dialled at this URL, admitted. */
async function connect(place: WebPlace, url: string): Promise<{ readonly near: Connection; readonly far: Connection }> {
  const transport = createHttpTransport();
  const [near, far] = await Promise.all([transport.dial(url.replace('ws', 'http'), { signal: NEVER }), place.accepted()]);
  for (const end of [near, far]) end.admit(RECORD_BYTES_MAX);
  return { near, far };
}
