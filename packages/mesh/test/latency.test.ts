import { createIdentity, MESSAGE_TYPE } from '@skein/protocol';
import { TestNetwork, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { createPipe, type Peer } from '../src/index.ts';
import { connectRogue } from './rogue.ts';

test('both sides know how long the way is, the one that was dialled too, before it ever pings', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  await alice.dial(bob);
  await clock.advance(0);
  expect(bob.mesh.peers.get(alice.identity.id)?.latencyMs, 'from the handshake').toBe(0);
  await clock.advance(13_000);
  const seen: readonly (Peer | undefined)[] = [alice.mesh.peers.get(bob.identity.id), bob.mesh.peers.get(alice.identity.id)];
  expect(seen.map((peer) => peer?.latencyMs)).toEqual([0, 0]);
});

test('a round trip longer than a ping may tell is not told, so that an answer that came late does not end the session', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const bob = network.add('bob');
  const [near, far] = createPipe();
  const connecting = connectRogue(near, createIdentity(), clock);
  bob.mesh.accept(far);
  const rogue = await connecting;
  const pings = () => rogue.heard.filter(({ header }) => header.type === MESSAGE_TYPE.ping);
  // Never silent, so that it is asked the first time after 20 s; and it answers 16 s later, behind all it said meanwhile.
  for (let seconds = 0; seconds < 36; seconds += 4) {
    rogue.say(MESSAGE_TYPE.ping, 'null');
    await clock.advance(4_000);
  }
  expect(pings()).toHaveLength(1);
  rogue.say(MESSAGE_TYPE.pong, '', { call: pings()[0]?.header.call ?? 0 });
  await clock.advance(0);
  await clock.advance(14_000);
  expect(bob.mesh.peers.get(rogue.identity.id)?.latencyMs).toBe(16_000);
  expect(pings().map(({ body }) => body)).toEqual(['null', 'null', 'null']);
});
