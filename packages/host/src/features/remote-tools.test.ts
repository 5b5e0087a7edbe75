import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolSet } from '@skein/agent';
import { SkeinError, type ToolDescriptor, toolsList } from '@skein/protocol';
import { TestNetwork, turns, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import type { HostEvent } from '../events.ts';
import { KnownTools } from './known-tools.ts';
import { RemoteTools } from './remote-tools.ts';

const ECHO: ToolDescriptor = { name: 'echo', description: 'says it again', input: {}, effect: 'read', examples: [] };

/** A node, and a peer whose every listing `list` answers; both connected. */
async function startPair(list: () => { tools: ToolDescriptor[] }) {
  await using stack = new AsyncDisposableStack();
  const clock = new VirtualClock();
  const network = stack.use(new TestNetwork(clock));
  const directory = mkdtempSync(join(tmpdir(), 'skein-remote-tools-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const [node, worker] = [network.add('node'), network.add('worker')];
  worker.router.serve(toolsList, list);
  const tools = new ToolSet({ local: [], ownName: 'node' });
  const events: HostEvent[] = [];
  const remote = new RemoteTools({
    tools,
    router: node.router,
    peerOf: (id) => node.mesh.peers.get(id),
    known: new KnownTools({ path: join(directory, 'known_tools'), onError: (error) => expect.unreachable(error.message) }),
    clock,
    onEvent: (event) => events.push(event),
  });
  stack.defer(() => remote.close());
  const peer = await node.dial(worker);
  const kept = stack.move();
  return {
    ...{ clock, remote, peer, events },
    names: () => tools.all().map(({ name }) => name),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

test.each(['internal', 'busy', 'unavailable'] as const)(
  'a peer that could not list its tools (%s) is asked again until it can',
  async (code) => {
    let asked = 0;
    await using pair = await startPair(() => {
      asked += 1;
      if (asked <= 2) throw new SkeinError('not now', { code });
      return { tools: [ECHO] };
    });
    pair.remote.joined(pair.peer);
    await turns(50);
    expect([asked, pair.names()]).toEqual([1, []]);
    await pair.clock.advance(5_000);
    // With a pause, and not in a circle.
    expect(asked).toBe(1);
    await pair.clock.advance(30_000);
    expect([asked, pair.names()]).toEqual([3, ['worker/echo']]);
    // The same problem is told once.
    expect(pair.events.filter(({ type }) => type === 'peer-problem')).toHaveLength(1);
    await pair.clock.advance(60_000);
    expect(asked).toBe(3);
  },
);

test('a peer that shares none is not asked again', async () => {
  let asked = 0;
  await using pair = await startPair(() => {
    asked += 1;
    throw new SkeinError('not for you', { code: 'denied' });
  });
  pair.remote.joined(pair.peer);
  await turns(50);
  await pair.clock.advance(120_000);
  expect([asked, pair.events]).toEqual([1, []]);
});
