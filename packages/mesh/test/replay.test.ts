import { createIdentity } from '@skein/protocol';
import {
  measured,
  meddleWith,
  rejection,
  sized,
  sizedTimeout,
  TestNetwork,
  type TestNode,
  turns,
  watchConnection,
} from '@skein/testing';
import { expect, test } from 'vitest';
import { type Connection, createHttpTransport } from '../src/index.ts';
import { echo } from './methods.ts';
import { startWebPlace } from './web-place.ts';
import { startWebSocketPlace } from './websocket-place.ts';

const ROUNDS = sized({ ci: 100, full: 2_500 });
const HTTP_ROUNDS = sized({ ci: 10, full: 500 });

/** A network whose wire from Alice is recorded: one call of hers with an effect, and every record she sent for it. */
async function record(network: TestNetwork) {
  const recorded: Buffer[] = [];
  const tap = meddleWith(network.pipes, (bytes, from) => {
    if (from === 'dialer') recorded.push(Buffer.from(bytes));
    return [bytes];
  });
  const effects: string[] = [];
  const serve = (node: TestNode) => {
    node.router.serve(echo, ({ text }) => {
      effects.push(`${node.name} ${text}`);
      return { text };
    });
    return node;
  };
  const bobIdentity = createIdentity();
  const alice = serve(network.add('alice', { through: () => tap }));
  const bob = serve(network.add('bob', { identity: bobIdentity }));
  const peer = await alice.dial(bob);
  await peer.call(echo, { text: 'pay' });
  expect(effects).toEqual(['bob pay']);
  return { recorded, effects, serve, alice, bob, bobIdentity };
}

/** Opens a pipe to a node, says all that was recorded, and waits for the end. */
async function replay(network: TestNetwork, node: TestNode, records: readonly Buffer[]): Promise<void> {
  const connection = await network.pipes.dial(node.url, { signal: new AbortController().signal });
  const watch = watchConnection(connection);
  for (const bytes of records) connection.send(bytes);
  await turns(4);
  connection.close('said it');
  await watch.closed;
}

test('what was recorded has no effect again: on new connections, at another node, back at its sender, after a restart', {
  timeout: sizedTimeout({ ci: 60_000, full: 900_000 }),
}, async () => {
  await using network = new TestNetwork();
  const { recorded, effects, serve, alice, bob, bobIdentity } = await record(network);
  const carol = serve(network.add('carol'));
  // The same key, as its file keeps it, in a new process.
  const restarted = serve(network.add('bob-restarted', { identity: bobIdentity }));
  let replays = 0;
  for (const node of [bob, carol, alice, restarted]) {
    for (let round = 0; round < ROUNDS; round += 1) {
      // From each record on: with the handshake, without its beginning, and the session's records alone.
      await replay(network, node, recorded.slice(round % recorded.length));
      replays += 1;
    }
  }
  expect(replays).toBe(4 * ROUNDS);
  expect(effects).toEqual(['bob pay']);
  measured('replay', { counts: { replays, afterRestart: ROUNDS } });
});

test('what was recorded over HTTP has no effect again, at its recipient or at another node', {
  timeout: sizedTimeout({ ci: 30_000, full: 900_000 }),
}, async () => {
  await using network = new TestNetwork();
  const effects: string[] = [];
  await using places = new AsyncDisposableStack();
  const open = async (name: string) => {
    const node = network.add(name);
    node.router.serve(echo, ({ text }) => {
      effects.push(`${name} ${text}`);
      return { text };
    });
    const place = places.use(await startWebPlace({ accept: (connection) => node.mesh.accept(connection) }));
    return place.url.replace('ws', 'http');
  };
  const [bob, carol] = [await open('bob'), await open('carol')];
  const recorded: Buffer[] = [];
  const tap = meddleWith(createHttpTransport(), (bytes, from) => {
    if (from === 'dialer') recorded.push(Buffer.from(bytes));
    return [bytes];
  });
  const { signal } = new AbortController();
  const peer = await network.add('alice', { through: () => tap }).mesh.dial(bob, { signal });
  await peer.call(echo, { text: 'pay' });
  expect(effects).toEqual(['bob pay']);
  for (const url of [bob, carol]) {
    for (let round = 0; round < HTTP_ROUNDS; round += 1) {
      const connection = await createHttpTransport().dial(url, { signal });
      const watch = watchConnection(connection);
      for (const bytes of recorded.slice(round % recorded.length)) connection.send(bytes);
      await watch.closed;
    }
  }
  expect(effects).toEqual(['bob pay']);
  measured('replay', { counts: { replays: 2 * HTTP_ROUNDS, overHttp: 2 * HTTP_ROUNDS } });
});

test.each([1, 2, 3])(
  'a record that comes %i times more on its own connection has its effect once, and ends the session',
  async (more) => {
    const accepted = Promise.withResolvers<Connection>();
    await using place = await startWebSocketPlace(accepted.resolve);
    await using network = new TestNetwork();
    const bob = network.add('bob');
    let effects = 0;
    bob.router.serve(echo, ({ text }) => {
      effects += 1;
      return { text };
    });
    let copies = 0;
    const doubled = meddleWith(place.transport, (bytes, from, index) => {
      // 0 and 1 are the handshake, 2 the first ping; 3 is the call.
      if (from === 'acceptor' || index !== 3) return [bytes];
      copies = more;
      return Array.from({ length: 1 + more }, () => Buffer.from(bytes));
    });
    const alice = network.add('alice', { through: () => doubled });
    accepted.promise.then((connection) => bob.mesh.accept(connection)).catch(() => {});
    const peer = await alice.mesh.dial(place.url, { signal: new AbortController().signal });
    // Its answer may or may not get out before the session ends.
    await Promise.allSettled([peer.call(echo, { text: 'pay' })]);
    const { reason } = await bob.event('peer-left');
    expect([copies, effects]).toEqual([more, 1]);
    expect(reason).toContain('a frame was refused');
  },
);

test('once a frame was refused nothing more is believed, though the socket takes a moment to close', async () => {
  const accepted = Promise.withResolvers<Connection>();
  await using place = await startWebSocketPlace(accepted.resolve);
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const seen: string[] = [];
  bob.router.serve(echo, ({ text }) => {
    seen.push(text);
    return { text };
  });
  const held: Buffer[] = [];
  const between = meddleWith(place.transport, (bytes, from, index) => {
    if (from === 'acceptor' || index < 3) return [bytes];
    held.push(Buffer.from(bytes));
    if (held.length < 2) return [];
    const [first, second] = held;
    if (first === undefined || second === undefined) return [];
    // A bit of the first record flipped, and behind it both as they were.
    const flipped = Buffer.from(first);
    flipped[20] = (flipped[20] ?? 0) ^ 1;
    return [flipped, first, second];
  });
  const alice = network.add('alice', { through: () => between });
  accepted.promise.then((connection) => bob.mesh.accept(connection)).catch(() => {});
  const peer = await alice.mesh.dial(place.url, { signal: new AbortController().signal });
  const first = rejection(peer.call(echo, { text: 'first' }));
  await turns(3);
  const second = rejection(peer.call(echo, { text: 'second' }));
  expect([(await first).code, (await second).code]).toEqual(['unavailable', 'unavailable']);
  expect(seen).toEqual([]);
});
