import { createIdentity, formatKeyLine, MESSAGE_TYPE } from '@skein/protocol';
import { meddleWith, rejection, TestNetwork, turns, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { createPipe } from '../src/index.ts';
import { echo } from './methods.ts';
import { connectRogue } from './rogue.ts';

test('a stranger the gatekeeper refuses gets no session and is told what to do', async () => {
  await using network = new TestNetwork();
  const alice = network.add('alice');
  const bob = network.add('bob', { gatekeeper: { admitCaller: () => ({ admitted: false, code: 'untrusted' }) } });
  const error = await rejection(alice.dial(bob));
  expect(error).toMatchObject({ code: 'denied', message: expect.stringContaining('skein net trust') });
  expect(bob.mesh.peers.size).toBe(0);
});

test('one that dials and then does not want whom it reached is never here, and the other side is told why', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob', { gatekeeper: { admitAnswer: () => ({ admitted: false, code: 'untrusted' }) } });
  const alice = network.add('alice');
  const error = await rejection(bob.dial(alice));
  expect(error).toMatchObject({ code: 'denied', message: expect.stringMatching(/^The key of the node that answered is not/) });
  expect(error.message).toContain(`skein net trust "${formatKeyLine(alice.identity, 'alice')}" --level tool`);
  const declined = await alice.event('declined');
  expect(declined.peer.id).toBe(bob.identity.id);
  expect(declined.error).toMatchObject({ code: 'denied' });
  expect(declined.error.message).toContain(`does not trust this node's key`);
  expect(declined.error.message).toContain(`skein net trust "${formatKeyLine(alice.identity, 'alice')}" --level tool`);
  expect(alice.events.map(({ type }) => type)).toEqual(['declined']);
  expect(alice.mesh.peers.size + bob.mesh.peers.size).toBe(0);
});

test('a refusal in the clear, as anybody on the way could send it, is not told as the words of the peer', async () => {
  await using network = new TestNetwork();
  const [near, far] = createPipe();
  const alice = network.add('alice');
  const rogue = connectRogue(near);
  alice.mesh.accept(far);
  await rogue;
  near.send(Buffer.of(6, 0, 7, 0, 0, 0, 0));
  const { error } = await alice.event('declined');
  expect(error.message).toContain('in the clear');
  expect(error.message).not.toContain('net trust');
});

test('a refusal behind the first record is no record at all', async () => {
  await using network = new TestNetwork();
  const alice = network.add('alice');
  const [near, far] = createPipe();
  const connected = connectRogue(near);
  alice.mesh.accept(far);
  const rogue = await connected;
  rogue.say(MESSAGE_TYPE.ping, 'null');
  await alice.event('peer-joined');
  near.send(Buffer.of(6, 1, 7, 0, 0, 0, 0));
  expect((await alice.event('peer-left')).reason).toContain('no record of kind 6');
});

test('a node that stops while it dials has no session afterwards', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const alice = network.add('alice');
  const dialled = rejection(alice.dial(bob));
  await alice.mesh[Symbol.asyncDispose]();
  expect((await dialled).code).toBe('canceled');
  await turns(50);
  expect(alice.mesh.peers.size + bob.mesh.peers.size).toBe(0);
  expect(alice.events).toEqual([]);
});

test('a signal that fires as the connection is handed over ends the dialling', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const stop = new AbortController();
  const alice = network.add('alice', {
    through: (transport) => ({
      ...transport,
      schemes: transport.schemes,
      async dial(url, options) {
        const connection = await transport.dial(url, options);
        stop.abort();
        return connection;
      },
    }),
  });
  expect((await rejection(alice.mesh.dial(bob.url, { signal: stop.signal }))).code).toBe('canceled');
  await turns(50);
  expect(alice.mesh.peers.size + bob.mesh.peers.size).toBe(0);
});

test('one that dials and says nothing more is not here, and takes one place however often it comes', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const alice = network.add('alice');
  const identity = createIdentity();
  const rogues = [];
  for (let count = 0; count < 5; count += 1) {
    const [near, far] = createPipe();
    const connected = connectRogue(near, identity);
    alice.mesh.accept(far);
    rogues.push(await connected);
  }
  await turns(20);
  expect(rogues.map(({ link }) => link.isOpen)).toEqual([false, false, false, false, true]);
  expect(alice.mesh.peers.size).toBe(0);
  for (let second = 0; second < 20; second += 1) await clock.advance(1_000);
  expect(alice.events.map(({ type }) => type)).toEqual(['declined']);
});

test('another key than the one expected at an address gets no session', async () => {
  await using network = new TestNetwork();
  const expected = createIdentity().id;
  const alice = network.add('alice', { gatekeeper: { expectedAt: () => expected } });
  const mallory = network.add('mallory');
  expect((await rejection(alice.dial(mallory))).code).toBe('unauthenticated');
  expect(alice.mesh.peers.size + mallory.mesh.peers.size).toBe(0);
});

test('two nodes that dial each other at once end with the same one session', async () => {
  for (let round = 0; round < 20; round += 1) {
    await using network = new TestNetwork();
    const [alice, bob] = [network.add('alice'), network.add('bob')];
    for (const node of [alice, bob]) node.router.serve(echo, ({ text }) => ({ text }));
    await Promise.all([alice.dial(bob), bob.dial(alice)]);
    await turns(50);
    const [toBob, toAlice] = [alice.mesh.peers.get(bob.identity.id), bob.mesh.peers.get(alice.identity.id)];
    expect(toBob?.initiator).toBe(!toAlice?.initiator);
    expect(await toBob?.call(echo, { text: 'a' })).toEqual({ text: 'a' });
    expect(await toAlice?.call(echo, { text: 'b' })).toEqual({ text: 'b' });
  }
});

test('when both dial at once, no call is lost on the session that is given up, and nobody is told that the other left', async () => {
  for (let round = 0; round < 20; round += 1) {
    const clock = new VirtualClock();
    await using network = new TestNetwork(clock);
    const [alice, bob] = [network.add('alice'), network.add('bob')];
    const answer = Promise.withResolvers<void>();
    for (const node of [alice, bob]) {
      node.router.serve(echo, async ({ text }) => {
        await answer.promise;
        return { text };
      });
    }
    const callOnce = (node: typeof alice) => node.event('peer-joined').then(({ peer }) => peer.call(echo, { text: node.name }));
    const calls = Promise.all([callOnce(alice), callOnce(bob)]);
    const first = alice.dial(bob);
    // The second handshake begins anywhere in the first.
    await turns(round);
    await Promise.all([first, bob.dial(alice)]);
    await clock.advance(5_000);
    answer.resolve();
    expect(await calls).toEqual([{ text: 'alice' }, { text: 'bob' }]);
    await clock.advance(5_000);
    expect([...alice.events, ...bob.events].filter(({ type }) => type === 'peer-left')).toEqual([]);
    expect(alice.mesh.peers.get(bob.identity.id)?.initiator).toBe(!bob.mesh.peers.get(alice.identity.id)?.initiator);
  }
});

test('a peer that is dropped is dropped on every session that it has', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  for (const node of [alice, bob]) node.router.serve(echo, () => new Promise(() => {}));
  const [toBob, toAlice] = await Promise.all([alice.dial(bob), bob.dial(alice)]);
  const joined = [...alice.events, ...bob.events].flatMap((event) => (event.type === 'peer-joined' ? [event.peer] : []));
  const calls = [...new Set([toBob, toAlice, ...joined])].map((peer) => rejection(peer.call(echo, { text: '' })));
  bob.mesh.drop(alice.identity.id, 'it was revoked');
  for (const error of await Promise.all(calls)) expect(error.code).toBe('unavailable');
  await turns(20);
  expect([alice.mesh.peers.size, bob.mesh.peers.size]).toEqual([0, 0]);
});

test('a restarted peer takes the place of its dead session at once', async () => {
  await using network = new TestNetwork();
  const identity = createIdentity();
  const bob = network.add('bob');
  const before = network.add('alice', { identity });
  await before.dial(bob);
  await bob.event('peer-joined');
  const boot = 'ab'.repeat(16);
  const after = network.add('alice', { identity, boot });
  await after.dial(bob);
  await bob.event('peer-joined', ({ peer }) => peer.boot === boot);
  expect(bob.mesh.peers.size).toBe(1);
  after.router.serve(echo, ({ text }) => ({ text: `after ${text}` }));
  expect(await bob.mesh.peers.get(identity.id)?.call(echo, { text: 'x' })).toEqual({ text: 'after x' });
});

test('calls in flight end at once when their peer goes', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, () => new Promise(() => {}));
  const peer = await alice.dial(bob);
  const call = rejection(peer.call(echo, { text: '' }));
  await bob.event('peer-joined');
  bob.mesh.drop(alice.identity.id, 'it was revoked');
  expect(await call).toMatchObject({ code: 'unavailable', message: expect.stringContaining('it was revoked') });
  expect((await alice.event('peer-left')).reason).toContain('it was revoked');
});

test('a kept address is dialled again after each loss, with waits that grow and are never the same', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const alice = network.add('alice');
  const stop = new AbortController();
  const keeping = alice.mesh.keep('memory://bob', { signal: stop.signal });
  for (let minute = 0; minute < 20; minute += 1) await clock.advance(60_000);
  const waits = alice.events.flatMap((event) => (event.type === 'dial-failed' ? [event.retryInMs] : []));
  expect(waits.length).toBeGreaterThan(40);
  expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
  expect(new Set(waits).size).toBe(waits.length);
  const bob = network.add('bob');
  // The wait of up to 30 s, and then a session long enough to count as a good one.
  await clock.advance(41_000);
  await turns(20);
  expect(alice.mesh.peers.has(bob.identity.id)).toBe(true);
  bob.mesh.drop(alice.identity.id, 'restart');
  await turns(20);
  await clock.advance(1_000);
  await turns(20);
  expect(alice.mesh.peers.has(bob.identity.id)).toBe(true);
  stop.abort();
  await keeping;
});

test('a peer that falls silent is given up within 15 s by both sides, a quiet one never', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  let cut = false;
  let records = 0;
  const through = meddleWith(network.pipes, (record) => {
    records += 1;
    return cut ? [] : [record];
  });
  const [alice, bob] = [network.add('alice', { through: () => through }), network.add('bob')];
  await alice.dial(bob);
  await clock.advance(0);
  records = 0;
  for (let minute = 0; minute < 10; minute += 1) await clock.advance(60_000);
  expect(alice.mesh.peers.size + bob.mesh.peers.size).toBe(2);
  expect(records, 'at most ten messages a minute between idle peers').toBeLessThanOrEqual(100);
  cut = true;
  await clock.advance(15_001);
  expect(alice.mesh.peers.size + bob.mesh.peers.size).toBe(0);
  const reasons = await Promise.all([alice, bob].map(async (node) => (await node.event('peer-left')).reason));
  expect(reasons.join(), 'whoever notices first').toContain('nothing was heard of it for 14 s');
});

test('a wall clock that jumps does not end a session or make it refuse', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, ({ text }) => ({ text }));
  const peer = await alice.dial(bob);
  for (const jumpMs of [3_600_000, -7_200_000, 61_000]) {
    clock.wallOffsetMs += jumpMs;
    expect(await peer.call(echo, { text: 'still here' })).toEqual({ text: 'still here' });
    await clock.advance(20_000);
  }
});

test('clocks that drift apart by a tenth for an hour do not make a session refuse', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const fast = {
    now: () => Math.floor(clock.wallOffsetMs + clock.monotonicMs() * 1.1),
    monotonicMs: () => clock.monotonicMs() * 1.1,
    after: (ms: number, fire: () => void) => clock.after(ms / 1.1, fire),
  };
  for (const [alices, bobs] of [
    [fast, clock],
    [clock, fast],
  ] as const) {
    const alice = network.add('alice', { clock: alices });
    const bob = network.add('bob', { clock: bobs });
    for (const node of [alice, bob]) node.router.serve(echo, ({ text }) => ({ text }));
    const peer = await alice.dial(bob);
    for (let minute = 0; minute < 60; minute += 1) await clock.advance(60_000);
    expect(peer.isOpen).toBe(true);
    expect(await peer.call(echo, { text: 'there' })).toEqual({ text: 'there' });
    expect(await bob.mesh.peers.get(alice.identity.id)?.call(echo, { text: 'back' })).toEqual({ text: 'back' });
    // The same without a moment of silence.
    for (let second = 0; second < 600; second += 1) {
      await clock.advance(1_000);
      expect(await peer.call(echo, { text: 'busy' })).toEqual({ text: 'busy' });
    }
  }
});

test('nothing is left running when a mesh has closed', async () => {
  const network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, () => new Promise(() => {}));
  const peer = await alice.dial(bob);
  const call = rejection(peer.call(echo, { text: '' }));
  await network[Symbol.asyncDispose]();
  expect((await call).code).toBe('unavailable');
  expect((await rejection(alice.dial(bob))).code).toBe('unavailable');
});
