import { TestNetwork, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import type { Peer } from '../src/index.ts';

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
