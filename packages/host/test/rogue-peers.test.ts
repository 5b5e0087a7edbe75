import { readFileSync } from 'node:fs';
import { Router } from '@skein/mesh';
import { type ToolDescriptor, toolsChanged, toolsList } from '@skein/protocol';
import { expect, test } from 'vitest';
import { bareMesh } from './bare-mesh.ts';
import { Nodes, type TestHost } from './nodes.ts';

const tool = (name: string, description = name): ToolDescriptor => ({
  name,
  description,
  input: { type: 'object' },
  effect: 'read',
  examples: [],
});

const listedTools = (node: TestHost) => node.event('tools-changed');

/** A node, and a peer it trusts that shows whatever tools it likes; resolves once the node has told what is waited for. */
async function startWithRogue<T>(nodes: Nodes, list: () => readonly ToolDescriptor[], until: (node: TestHost) => Promise<T>) {
  const node = nodes.make('node', { net: { share: { tools: true } } });
  const rogue = nodes.make('rogue');
  node.trusts([rogue, { trust: 'tool' }]);
  await nodes.start(node);
  const router = new Router();
  router.serve(toolsList, () => ({ tools: [...list()] }));
  const mesh = bareMesh(rogue, router);
  const told = until(node);
  const peer = await mesh.dial(node.url, { signal: new AbortController().signal });
  return { node, peer, told: await told, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() };
}

test('a peer that says without end that its tools have changed is asked a few times a second', async () => {
  await using nodes = new Nodes();
  let listed = 0;
  const list = () => {
    listed += 1;
    return [tool('dice', `version ${listed}`)];
  };
  await using net = await startWithRogue(nodes, list, listedTools);
  const again = net.node.event('tools-changed');
  const sinceMs = performance.now();
  for (let times = 0; times < 200; times += 1) {
    net.peer.publish(toolsChanged, {});
    // The answer comes after all that was published before.
    await net.peer.call(toolsList, {}, { timeoutMs: 5_000 });
  }
  // Five times a second, however slow the machine; without the pause it is nearly once for each.
  expect(listed).toBeLessThan(5 + (performance.now() - sinceMs) / 200);
  expect((await again).redefined).toEqual(['dice']);
});

test('a peer’s tool with the name of an own one stands beside it, and the plain name is the own one', async () => {
  await using nodes = new Nodes();
  await using net = await startWithRogue(nodes, () => [tool('system_info'), tool('shell_exec')], listedTools);
  expect(net.node.host.backend.tools().map(({ name }) => name)).toContain('rogue/system_info');
  expect(await net.node.call('system_info', {})).toMatchObject({ hostname: expect.any(String) });
});

test('a peer that shows more tools than are taken has none here, and is told about', async () => {
  await using nodes = new Nodes();
  const list = () => Array.from({ length: 5_000 }, (_, n) => tool(`tool_${n}`));
  await using net = await startWithRogue(nodes, list, (node) => node.event('peer-problem', ({ name }) => name === 'rogue'));
  expect(net.told.problem).toContain('cannot be listed');
  expect(net.node.host.backend.tools().some(({ peer }) => peer === 'rogue')).toBe(false);
});

test('strangers that come again and again are all refused, and fill neither the audit nor the feed', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('node');
  await nodes.start(node);
  const watching = new AbortController();
  let told = 0;
  const watched = (async () => {
    for await (const { type } of node.host.backend.events({ signal: watching.signal })) if (type === 'peer-problem') told += 1;
  })();
  await using stranger = bareMesh(nodes.make('stranger'));
  for (let times = 0; times < 150; times += 1) {
    const dial = stranger.dial(node.url, { signal: new AbortController().signal });
    await expect(dial).rejects.toMatchObject({ code: expect.stringMatching(/denied|unavailable/) });
  }
  await node.host[Symbol.asyncDispose]();
  watching.abort();
  await watched.catch(() => undefined);
  const records = readFileSync(node.file('audit.jsonl'), 'utf8').split('\n');
  expect(records.filter((record) => record.includes('stranger-refused'))).toHaveLength(120);
  expect(told).toBeLessThanOrEqual(120);
});
