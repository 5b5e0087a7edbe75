import { ToolSet } from '@skein/agent';
import { presenceState, SkeinError, toolsChanged } from '@skein/protocol';
import { TestNetwork, turns, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { ShareTools } from './share-tools.ts';

test('that the tools are others is told to a peer that took nothing at that moment', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [node, other] = [network.add('node'), network.add('other')];
  let told = 0;
  other.router.serve(toolsChanged, () => {
    told += 1;
    return {};
  });
  other.router.serve(presenceState, () => ({}));
  const peer = await node.dial(other);
  const share = new ShareTools({
    self: node.identity.id,
    tools: new ToolSet(),
    keptBack: new Set(),
    router: node.router,
    mesh: node.mesh,
    maySee: () => true,
    nameOf: () => 'other',
    clock,
    toolTimeoutMs: () => 1_000,
    onEvent: () => {},
    onServed: () => {},
  });
  const state = { load: { running: 0, queued: 0, capacity: 4 }, calls: 0, brain: null, role: 'peer' } as const;
  expect(() => {
    for (;;) peer.publish(presenceState, state);
  }).toThrow(SkeinError);
  share.announce();
  await turns(50);
  expect(told).toBe(0);
  await clock.advance(10_000);
  expect(told).toBe(1);
  share.close();
});
