import { type NodeState, type PeerId, presenceState, SkeinError, toolsChanged } from '@skein/protocol';
import { TestNetwork, turns, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { Presence } from './presence.ts';

const stateOf = (running: number): NodeState => ({
  load: { running, queued: 0, capacity: 4 },
  calls: 0,
  brain: 'one',
  role: 'peer',
});

test('the last change of a node is told to a peer that took nothing at that moment', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [node, other] = [network.add('node'), network.add('other')];
  const heard: number[] = [];
  other.router.serve(presenceState, ({ load }) => {
    heard.push(load.running);
    return {};
  });
  other.router.serve(toolsChanged, () => ({}));
  const peer = await node.dial(other);
  let running = 4;
  const presence = new Presence({ router: node.router, mesh: node.mesh, clock, stateFor: (_: PeerId) => stateOf(running) });
  presence.joined(peer);
  await turns(50);
  running = 0;
  expect(() => {
    for (;;) peer.publish(toolsChanged, {});
  }).toThrow(SkeinError);
  presence.changed();
  await turns(50);
  await clock.advance(5_000);
  expect(heard).toEqual([4, 0]);
  presence.close();
});
