import { CipherState, createIdentity, type Established, publicIdentity } from '@skein/protocol';
import { measured, meddleWith, rejection, sized, sizedTimeout, TestNetwork, type TestNode, turns } from '@skein/testing';
import { expect, test } from 'vitest';
import { createPipe, systemClock } from '../src/index.ts';
import { Link } from '../src/peer/link.ts';
import { echo } from './methods.ts';

/** Records of a dialler's side from which on the session is established: init, finish. */
const SESSION_BEGINS = 2;
const REPLAY_ROUNDS = sized({ ci: 500, full: 5_000 });

test('nothing that crosses the pipe is readable', async () => {
  await using network = new TestNetwork();
  const seen: Buffer[] = [];
  const spy = meddleWith(network.pipes, (record) => {
    seen.push(record);
    return [record];
  });
  const [alice, bob] = [network.add('alice-the-canary', { through: () => spy }), network.add('bob-the-canary')];
  bob.router.serve(echo, ({ text }) => ({ text }));
  const peer = await alice.dial(bob);
  await peer.call(echo, { text: 'canary in the message' });
  const wire = Buffer.concat(seen);
  for (const secret of ['canary', 'test.echo', 'hello']) expect(wire.includes(secret), secret).toBe(false);
});

test('every bit of a record counts: each single flip ends the session before any handler runs', {
  timeout: 120_000,
}, async () => {
  let flips = 0;
  for (let bit = 0; ; bit += 1) {
    await using network = new TestNetwork();
    let done = false;
    const flip = meddleWith(network.pipes, (record, from, index) => {
      if (from !== 'dialer' || index !== SESSION_BEGINS) return [record];
      if (bit >= record.length * 8) done = true;
      else record[bit >> 3] = (record[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return [record];
    });
    const [alice, bob] = [network.add('alice', { through: () => flip }), network.add('bob')];
    let ran = false;
    bob.router.serve(echo, () => {
      ran = true;
      return { text: '' };
    });
    const peer = await alice.dial(bob);
    const outcome = await peer.call(echo, { text: 'x' }).then(
      () => 'answered',
      () => 'refused',
    );
    if (done) {
      expect(outcome).toBe('answered');
      break;
    }
    expect([outcome, ran]).toEqual(['refused', false]);
    flips += 1;
  }
  expect(flips).toBeGreaterThan(1_500);
  measured('tampering', { counts: { flips } });
});

test.each([
  ['dropped', (records: Buffer[]) => records.slice(1)],
  ['swapped', ([first, second]: Buffer[]) => (first && second ? [second, first] : [])],
  ['repeated', ([first, second]: Buffer[]) => (first && second ? [first, first, second] : [])],
] as const)('a record %s on the way ends the session, and is never half believed', async (_name, meddle) => {
  await using network = new TestNetwork();
  const held: Buffer[] = [];
  const between = meddleWith(network.pipes, (record, from, index) => {
    if (from !== 'dialer' || index < SESSION_BEGINS) return [record];
    held.push(record);
    return held.length === 2 ? meddle(held.splice(0)) : [];
  });
  const [alice, bob] = [network.add('alice', { through: () => between }), network.add('bob')];
  const seen: string[] = [];
  bob.router.serve(echo, ({ text }) => {
    seen.push(text);
    return { text };
  });
  const peer = await alice.dial(bob);
  const first = rejection(peer.call(echo, { text: 'first' }));
  await turns(2);
  const second = rejection(peer.call(echo, { text: 'second' }));
  expect((await first).code).toBe('unavailable');
  expect((await second).code).toBe('unavailable');
  expect(seen.length).toBeLessThanOrEqual(1);
  expect(seen.filter((text) => text === 'second')).toEqual([]);
});

test(`what one session recorded is worth nothing to another: ${2 * REPLAY_ROUNDS} replays, no effect`, {
  timeout: sizedTimeout({ ci: 30_000, full: 900_000 }),
}, async () => {
  await using network = new TestNetwork();
  const recorded: Buffer[] = [];
  let replay = false;
  const between = meddleWith(network.pipes, (record, from) => {
    if (from === 'acceptor') return [record];
    if (replay) return [...recorded];
    recorded.push(record);
    return [record];
  });
  const [alice, bob, carol] = [network.add('alice', { through: () => between }), network.add('bob'), network.add('carol')];
  let effects = 0;
  for (const node of [bob, carol]) {
    node.router.serve(echo, () => {
      effects += 1;
      return { text: '' };
    });
  }
  await (await alice.dial(bob)).call(echo, { text: 'pay' });
  expect(effects).toBe(1);
  replay = true;
  for (let round = 0; round < REPLAY_ROUNDS; round += 1) {
    await rejection(alice.dial(bob));
    await rejection(alice.dial(carol));
  }
  expect(effects).toBe(1);
  measured('replay', { counts: { replays: 2 * REPLAY_ROUNDS } });
});

test('a message of an hour ago or from ten seconds ahead is refused, inside a good session too', async () => {
  for (const skewMs of [-3_600_000, -61_000, 10_000]) {
    const { near, far, farReason } = linkPair(skewMs);
    near.send({ type: 7, priority: 'interactive', budgetMs: 0, call: 0, body: '{}', bodyBytes: 2 });
    expect(await farReason, `${skewMs} ms`).toContain('refused');
    near.close('done');
    far.close('done');
  }
  const { near, far, received } = linkPair(-59_000);
  near.send({ type: 7, priority: 'interactive', budgetMs: 0, call: 0, body: '{}', bodyBytes: 2 });
  await received;
  near.close('done');
  far.close('done');
});

test('only the peer that was asked can answer', async () => {
  await using network = new TestNetwork();
  const [alice, bob, mallory] = [network.add('alice'), network.add('bob'), network.add('mallory')];
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<{ text: string }>();
  bob.router.serve(echo, () => {
    asked.resolve();
    return answer.promise;
  });
  mallory.router.serve(echo, () => ({ text: 'forged' }));
  const [toBob, toMallory] = [await alice.dial(bob), await alice.dial(mallory)];
  const call = toBob.call(echo, { text: 'x' });
  await asked.promise;
  // Mallory's calls have the same numbers as Bob's: each session has its own.
  expect(await toMallory.call(echo, { text: 'x' })).toEqual({ text: 'forged' });
  answer.resolve({ text: 'true' });
  expect(await call).toEqual({ text: 'true' });
});

test('junk before the handshake costs one connection and nothing else', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  for (const junk of [
    Buffer.alloc(0),
    Buffer.alloc(1),
    Buffer.alloc(8_000, 0x41),
    Buffer.alloc(100_000, 1),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  ]) {
    const closed = Promise.withResolvers<string>();
    const connection = await network.pipes.dial(bob.url, { signal: new AbortController().signal });
    connection.attach({ record: () => {}, drain: () => {}, closed: closed.resolve });
    connection.send(junk);
    await closed.promise;
  }
  const alice = network.add('alice');
  bob.router.serve(echo, ({ text }) => ({ text }));
  expect(await (await alice.dial(bob)).call(echo, { text: 'fine' })).toEqual({ text: 'fine' });
});

test('strangers that open connections and say nothing are bounded, and let go', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const reasons: Promise<string>[] = [];
  for (let index = 0; index < 100; index += 1) {
    const connection = await network.pipes.dial(bob.url, { signal: new AbortController().signal });
    const { promise, resolve } = Promise.withResolvers<string>();
    connection.attach({ record: () => {}, drain: () => {}, closed: resolve });
    reasons.push(promise);
  }
  // 64 from one address may wait; for each of the others the one that was there longest is closed at once.
  const first = await Promise.race([Promise.all(reasons.slice(0, 36)), ...reasons.slice(36)]);
  expect(first).toHaveLength(36);
});

test('strangers that hold every place and say nothing keep nobody out: who was there first goes', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const silent = Array.from({ length: 256 }, (_, place) => openSilent(bob, `192.0.2.${place}`));
  const peer = await alice.dial(bob);
  expect(peer.isOpen).toBe(true);
  expect(silent.map(({ isClosed }) => isClosed)).toEqual([true, ...Array(255).fill(false)]);
  expect(await bob.event('refused')).toMatchObject({
    address: '192.0.2.0',
    error: { message: expect.stringContaining('too many connections wait') },
  });
});

test('however many silent strangers come, none pushes out one whose handshake is under way', async () => {
  await using network = new TestNetwork();
  let come = () => {};
  const between = meddleWith(network.pipes, (record, from) => {
    if (from === 'acceptor') come();
    return [record];
  });
  const [alice, bob] = [network.add('alice', { through: () => between }), network.add('bob')];
  bob.router.serve(echo, ({ text }) => ({ text }));
  come = () => {
    come = () => {};
    for (let place = 0; place < 2_000; place += 1) openSilent(bob, `10.0.${place >> 8}.${place & 255}`);
  };
  const peer = await alice.dial(bob);
  expect(await peer.call(echo, { text: 'in' })).toEqual({ text: 'in' });
});

/** A connection to this node on which nothing is said. */
function openSilent({ mesh }: TestNode, address: string): { readonly isClosed: boolean } {
  const [near, far] = createPipe(address);
  const state = { isClosed: false };
  near.attach({
    record: () => {},
    drain: () => {},
    closed: () => {
      state.isClosed = true;
    },
  });
  mesh.accept(far);
  return state;
}

/** Two links with keys of their own, whose clocks differ by `skewMs` more than was measured. */
function linkPair(skewMs: number) {
  const [nearPipe, farPipe] = createPipe();
  const [alice, bob] = [createIdentity(), createIdentity()];
  const [out, back] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const established = (initiator: boolean): Established => ({
    peer: publicIdentity(initiator ? bob.bytes : alice.bytes),
    hello: { name: 'x', boot: '00'.repeat(16), timeMs: 0, features: [] },
    sessionId: Buffer.alloc(16, 7),
    send: new CipherState(initiator ? out : back),
    receive: new CipherState(initiator ? back : out),
    clockOffsetMs: 0,
    initiator,
    handshakeHash: Buffer.alloc(32),
  });
  const skewed = { ...systemClock, now: () => Date.now() + skewMs };
  const near = new Link({
    connection: nearPipe,
    established: established(true),
    identity: alice,
    name: 'alice',
    clock: skewed,
  });
  const far = new Link({
    connection: farPipe,
    established: established(false),
    identity: bob,
    name: 'bob',
    clock: systemClock,
  });
  const farReason = Promise.withResolvers<string>();
  const received = Promise.withResolvers<void>();
  near.open({ pending: () => 0, message: () => {}, closed: () => {} });
  far.open({ pending: () => 0, message: () => received.resolve(), closed: farReason.resolve });
  return { near, far, farReason: farReason.promise, received: received.promise };
}
