import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';

const sharing = { net: { share: { memory: true, session: true } } } as const;

/** Two nodes that share memory and conversations, each trusting the other as said. */
async function startTwo(nodes: Nodes, trust: { readonly left?: 'full' | 'read'; readonly right?: 'full' | 'read' } = {}) {
  const left = nodes.make('left', sharing);
  const right = nodes.make('right', sharing);
  left.trusts([right, { trust: trust.right ?? 'full' }]);
  await nodes.start(left);
  right.trusts([left, { trust: trust.left ?? 'full', url: left.url }]);
  await nodes.start(right);
  return { left, right };
}

const found = async (node: TestHost, query: string) => JSON.stringify(await node.call('memory_search', { query }));
const history = (node: TestHost) => node.host.backend.history('talk').map(({ role, text }) => `${role}: ${text}`);

test('what one node remembers, the others know, with who wrote it, until it is forgotten', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startTwo(nodes);
  const { id } = (await left.call('memory_write', { text: 'The printer is on the third floor' })) as { id: string };
  await expect.poll(() => right.host.backend.peers()[0]?.state).toBe('connected');
  await expect.poll(() => found(right, 'printer')).toContain('third floor');
  expect(await found(right, 'printer')).toContain('left');
  await left.call('memory_forget', { id });
  await expect.poll(() => found(right, 'printer')).not.toContain('third floor');
});

test('a node that may only read cannot write into the memory of another', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startTwo(nodes, { right: 'read' });
  await right.call('memory_write', { text: 'The vault opens with 1234' });
  await left.call('memory_write', { text: 'The vault is in the cellar' });
  await expect.poll(() => found(right, 'vault')).toContain('cellar');
  // What left finds at right is asked for, is shown as right's, and is kept nowhere here.
  await right.host[Symbol.asyncDispose]();
  expect(await found(left, 'vault')).not.toContain('1234');
});

test('a conversation goes on at another device, with what was said while that was away', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startTwo(nodes);
  await left.ask('hello there', 'talk');
  await expect.poll(() => history(right)).toEqual(history(left));
  await right.host[Symbol.asyncDispose]();
  await left.ask('are you still there?', 'talk');
  const again = nodes.restart(right, sharing);
  await nodes.start(again);
  await expect.poll(() => history(again), { timeout: 10_000 }).toEqual(history(left));
  await again.ask('thank you', 'talk');
  await expect.poll(() => history(left)).toEqual(history(again));
  expect(history(left)).toHaveLength(6);
});
