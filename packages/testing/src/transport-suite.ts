import assert from 'node:assert/strict';
import type { Connection, Transport } from '@skein/mesh';
import { HANDSHAKE_BYTES_MAX, RECORD_BYTES_MAX } from '@skein/protocol';
import { rejection } from './network.ts';

/** Somewhere to dial, for the length of one promise. */
export interface TransportPlace extends AsyncDisposable {
  readonly transport: Transport;
  readonly url: string;
  /** A URL of the same kind where nobody listens. */
  readonly nobodyUrl: string;
  /** The next connection that was accepted. */
  accepted(): Promise<Connection>;
}

/** One thing every transport keeps to; `keep` rejects when this one does not. */
export interface TransportPromise {
  readonly promise: string;
  readonly keep: (place: TransportPlace) => Promise<void>;
}

/** What one end got, and when it ended. */
export interface ConnectionWatch {
  readonly records: readonly Buffer[];
  readonly closes: readonly string[];
  /** Resolves when `count` records are there. */
  got(count: number): Promise<readonly Buffer[]>;
  readonly closed: Promise<string>;
  /** Resolves at the next drain. */
  drained(): Promise<void>;
}

/** Attaches to a connection and keeps what comes. */
export function watchConnection(connection: Connection): ConnectionWatch {
  const records: Buffer[] = [];
  const closes: string[] = [];
  const waiting = new Set<{ readonly count: number; readonly resolve: (records: readonly Buffer[]) => void }>();
  const closed = Promise.withResolvers<string>();
  let drain = Promise.withResolvers<void>();
  connection.attach({
    record(record) {
      assert.deepEqual(closes, [], 'a record came behind the end');
      records.push(record);
      for (const waiter of waiting) if (records.length >= waiter.count) waiter.resolve(records);
    },
    drain() {
      drain.resolve();
      drain = Promise.withResolvers();
    },
    closed(reason) {
      closes.push(reason);
      closed.resolve(reason);
    },
  });
  return {
    records,
    closes,
    got: (count) =>
      records.length >= count
        ? Promise.resolve(records)
        : new Promise((resolve) => {
            waiting.add({ count, resolve });
          }),
    closed: closed.promise,
    drained: () => drain.promise,
  };
}

/** A record of this many bytes that differs from those with other seeds, and in whose every place other bytes stand. */
function recordOf(bytes: number, seed: number): Buffer {
  const record = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) record.writeUInt32LE(at * 31 + seed, at);
  record[bytes - 1] = seed & 0xff;
  return record;
}

interface Ends {
  readonly near: Connection;
  readonly far: Connection;
}

async function connect(place: TransportPlace): Promise<Ends> {
  const [near, far] = await Promise.all([
    place.transport.dial(place.url, { signal: new AbortController().signal }),
    place.accepted(),
  ]);
  return { near, far };
}

/** Both directions of a fresh connection, admitted to the largest record. */
async function eachWay(place: TransportPlace, check: (from: Connection, to: Connection) => Promise<void>): Promise<void> {
  for (const turned of [false, true]) {
    const { near, far } = await connect(place);
    for (const end of [near, far]) end.admit(RECORD_BYTES_MAX);
    await check(turned ? far : near, turned ? near : far);
    near.close('checked');
    far.close('checked');
  }
}

/** What `send` and `drain` say about room, heeded: sends all of them. */
async function sendHeeding(from: Connection, watch: ConnectionWatch, records: readonly Buffer[]): Promise<number> {
  let refusals = 0;
  for (const record of records) {
    const drained = watch.drained();
    if (from.send(record)) continue;
    refusals += 1;
    await drained;
  }
  return refusals;
}

/** The contract of `Transport` and `Connection`. Every transport runs all of it. */
export const TRANSPORT_PROMISES: readonly TransportPromise[] = [
  {
    promise: 'records arrive whole and in the order they were sent, whatever their size',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const sent = [1, 2, 125, 126, 127, 4_096, 65_535, 65_536, 65_537, 200_000, 1, RECORD_BYTES_MAX, 3].map(recordOf);
        const [near, far] = [watchConnection(from), watchConnection(to)];
        await sendHeeding(from, near, sent);
        const got = await far.got(sent.length);
        assert.deepEqual(
          got.map((record, index) => sent[index]?.equals(record)),
          sent.map(() => true),
        );
      }),
  },
  {
    promise: 'records that came before anybody attached are delivered then, in order',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const near = watchConnection(from);
        const sent = [1, 2, 3, 4, 5].map((seed) => recordOf(100 * seed, seed));
        await sendHeeding(from, near, sent);
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
        const got = await watchConnection(to).got(sent.length);
        assert.deepEqual([...got], sent);
      }),
  },
  {
    promise: 'a sender that is faster than the line is told to wait, then to go on, and loses nothing',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const near = watchConnection(from);
        const sent = Array.from({ length: 400 }, (_, seed) => recordOf(60_000, seed));
        const all = sendHeeding(from, near, sent);
        for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
        const far = watchConnection(to);
        assert.ok((await all) > 0, 'it was never told to wait');
        const got = await far.got(sent.length);
        assert.ok(sent.every((record, index) => got[index]?.equals(record)));
        assert.deepEqual(near.closes, []);
      }),
  },
  {
    promise: 'an end that pauses takes no more than a little, its sender is told to wait, and nothing is lost',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const [near, far] = [watchConnection(from), watchConnection(to)];
        from.send(recordOf(10, 0));
        await far.got(1);
        to.pause();
        const sent = Array.from({ length: 1_000 }, (_, seed) => recordOf(30_000, seed));
        const all = sendHeeding(from, near, sent);
        for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
        assert.ok(far.records.length < 100, `${far.records.length} records came though it paused`);
        to.resume();
        assert.ok((await all) > 0, 'the sender was never told to wait');
        assert.ok((await far.got(1_001)).slice(1).every((record, index) => sent[index]?.equals(record)));
      }),
  },
  {
    promise: 'what arrives and what leaves can be seen to move',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const [near, far] = [watchConnection(from), watchConnection(to)];
        const before = { departed: from.departed, arrived: to.arrived };
        await sendHeeding(from, near, [recordOf(1_000, 1), recordOf(300_000, 2)]);
        await far.got(2);
        for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
        assert.ok(from.departed > before.departed);
        assert.ok(to.arrived > before.arrived);
      }),
  },
  {
    promise: 'a record above the bound of strangers ends the connection before it is delivered',
    keep: async (place) => {
      for (const turned of [false, true]) {
        const { near, far } = await connect(place);
        const [from, to] = turned ? [far, near] : [near, far];
        const [sender, receiver] = [watchConnection(from), watchConnection(to)];
        from.send(recordOf(HANDSHAKE_BYTES_MAX, 1));
        from.send(recordOf(HANDSHAKE_BYTES_MAX + 1, 2));
        await Promise.all([sender.closed, receiver.closed]);
        assert.equal(receiver.records.length, 1);
        assert.match(receiver.closes[0] ?? '', /8193 bytes/);
      }
    },
  },
  {
    promise: 'a record above the bound of peers ends the connection before it is delivered',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const [sender, receiver] = [watchConnection(from), watchConnection(to)];
        from.send(Buffer.alloc(RECORD_BYTES_MAX + 1));
        await Promise.all([sender.closed, receiver.closed]);
        assert.equal(receiver.records.length, 0);
      }),
  },
  {
    promise: 'closing ends both ends, each exactly once, and whoever closed keeps its reason',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const [near, far] = [watchConnection(from), watchConnection(to)];
        from.send(recordOf(10, 1));
        await far.got(1);
        from.close('enough');
        from.close('again');
        assert.equal(from.send(recordOf(10, 2)), true, 'a record sent behind the end is dropped without a word');
        await Promise.all([near.closed, far.closed]);
        to.close('late');
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
        assert.deepEqual(near.closes, ['enough']);
        assert.equal(far.closes.length, 1);
        assert.equal(far.records.length, 1);
      }),
  },
  {
    promise: 'cutting ends both ends at once, each exactly once, whatever waits to be sent',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        const [near, far] = [watchConnection(from), watchConnection(to)];
        to.pause();
        for (let seed = 0; seed < 200 && from.send(recordOf(60_000, seed)); seed += 1);
        const sinceMs = performance.now();
        from.cut('it is silent');
        from.cut('again');
        from.close('late');
        await near.closed;
        to.resume();
        await far.closed;
        assert.ok(performance.now() - sinceMs < 400, 'it took a polite wait');
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
        assert.deepEqual(near.closes, ['it is silent']);
        assert.equal(far.closes.length, 1);
      }),
  },
  {
    promise: 'nothing more is delivered once the receiver has closed',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        watchConnection(from);
        const records: Buffer[] = [];
        const closed = Promise.withResolvers<string>();
        to.attach({
          record(record) {
            records.push(record);
            to.close('one is enough');
          },
          drain() {},
          closed: closed.resolve,
        });
        for (let seed = 0; seed < 20; seed += 1) from.send(recordOf(50, seed));
        assert.equal(await closed.promise, 'one is enough');
        assert.equal(records.length, 1);
      }),
  },
  {
    promise: 'an end that attaches after the other has gone is told so',
    keep: (place) =>
      eachWay(place, async (from, to) => {
        watchConnection(from);
        from.close('gone');
        assert.notEqual(await watchConnection(to).closed, '');
      }),
  },
  {
    promise: 'dialling where nobody listens is unavailable',
    keep: async (place) => {
      const error = await rejection(place.transport.dial(place.nobodyUrl, { signal: new AbortController().signal }));
      assert.equal(error.code, 'unavailable');
      assert.match(error.message, /Nobody/);
    },
  },
  {
    promise: 'dialling stops when its caller does',
    keep: async (place) => {
      const stopped = AbortSignal.abort();
      assert.equal((await rejection(place.transport.dial(place.url, { signal: stopped }))).code, 'canceled');
    },
  },
];
