import { type Tool, ToolSet } from '@skein/agent';
import { presenceState, SkeinError, type ToolDescriptor, toolsChanged, toolsList } from '@skein/protocol';
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

function toolOf(name: string, input: ToolDescriptor['input']): Tool {
  return {
    descriptor: { name, description: name, input, effect: 'read', examples: [] },
    untrusted: false,
    run: async () => null,
  };
}

const deep = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
const wide = (name: string, values: number) => toolOf(name, { enum: Array(values).fill(1) });
const long = (name: string, chars: number) => toolOf(name, { title: 'x'.repeat(chars) });

test.each([
  ['nothing too much', [wide('a', 32_000), toolOf('b', { x: deep(28) })], []],
  ['more values than a message takes', [wide('a', 20_000), wide('b', 20_000), toolOf('c', {})], ['b']],
  ['more bytes than a message takes', [long('a', 600_000), long('b', 600_000), toolOf('c', {})], ['b']],
  ['one that is nested too deep', [toolOf('a', { x: deep(29) }), toolOf('b', {})], ['a']],
])('of tools with %s a peer lists those that fit, and what is left out is told once', async (_what, own, leftOut) => {
  await using network = new TestNetwork();
  const [node, other] = [network.add('node'), network.add('other')];
  const tools = new ToolSet({ local: own });
  const told: (readonly string[])[] = [];
  const share = new ShareTools({
    self: node.identity.id,
    tools,
    keptBack: new Set(),
    router: node.router,
    mesh: node.mesh,
    maySee: () => true,
    nameOf: () => 'other',
    clock: new VirtualClock(),
    toolTimeoutMs: () => 1_000,
    onEvent: () => {},
    onServed: () => {},
    onLeftOut: (names) => told.push(names),
  });
  const peer = await other.dial(node);
  for (let n = 0; n < 2; n += 1) {
    const listed = (await peer.call(toolsList, {})).tools.map(({ name }) => name);
    expect(listed).toEqual(own.map(({ descriptor }) => descriptor.name).filter((name) => !leftOut.includes(name)));
  }
  expect(told).toEqual(leftOut.length === 0 ? [] : [leftOut]);
  share.close();
});
