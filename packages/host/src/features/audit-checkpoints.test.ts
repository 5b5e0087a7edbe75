import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditLog, CheckpointFile, TrustStore } from '@skein/mesh';
import { createIdentity, SkeinError, trustCheckpoint } from '@skein/protocol';
import { TestNetwork, turns, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { AuditCheckpoints } from './audit-checkpoints.ts';

/** A node whose audit log has a checkpoint, and a peer that is to keep it and answers with `keep`. */
async function startPair(keep: (checkpoint: string | null) => { held: string | null }) {
  await using stack = new AsyncDisposableStack();
  const clock = new VirtualClock();
  const directory = mkdtempSync(join(tmpdir(), 'skein-checkpoints-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const network = stack.use(new TestNetwork(clock));
  const identity = createIdentity();
  const [node, keeper] = [network.add('node', { identity }), network.add('keeper')];
  keeper.router.serve(trustCheckpoint, ({ checkpoint }) => keep(checkpoint));
  const file = (name: string) => join(directory, name);
  const openLog = () => {
    const end = { path: file('audit.end'), identity };
    const log = new AuditLog({ path: file('audit.jsonl'), end, clock, onError: (error) => expect.unreachable(error.message) });
    log.start();
    return log;
  };
  const first = openLog();
  first.append({ event: 'it lived' });
  first.close();
  const audit = openLog();
  stack.defer(() => audit.close());
  const witnesses = new CheckpointFile({ path: file('audit.witnesses') });
  const checkpoints = new AuditCheckpoints({
    ownIds: new Set([identity.id]),
    trust: new TrustStore({ path: file('authorized_peers') }),
    audit,
    held: new CheckpointFile({ path: file('held_checkpoints') }),
    witnesses,
    router: node.router,
    peers: () => node.mesh.peers,
    mayKeep: () => true,
    clock,
    onEvent: () => {},
  });
  stack.defer(() => checkpoints.close());
  const peer = await node.dial(keeper);
  const kept = stack.move();
  return {
    ...{ clock, audit, checkpoints, peer },
    witnessed: () => witnesses.get(peer.id),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

test.each(['busy', 'internal', 'unavailable'] as const)(
  'a checkpoint that a peer could not keep (%s) is given to it again',
  async (code) => {
    const given: string[] = [];
    await using pair = await startPair((checkpoint) => {
      if (checkpoint === null) return { held: null };
      given.push(checkpoint);
      if (given.length <= 2) throw new SkeinError('not now', { code });
      return { held: null };
    });
    pair.checkpoints.joined(pair.peer);
    await turns(50);
    expect(given).toHaveLength(1);
    await pair.clock.advance(5_000);
    expect(given).toHaveLength(1);
    await pair.clock.advance(60_000);
    expect(given).toEqual(Array(3).fill(pair.audit.checkpoint));
    expect(pair.witnessed()).toBe(pair.audit.checkpoint);
  },
);

test('a peer that keeps none is not asked again, and neither is one that left', async () => {
  let asked = 0;
  await using pair = await startPair(() => {
    asked += 1;
    throw new SkeinError('not now', { code: asked === 1 ? 'not-found' : 'internal' });
  });
  pair.checkpoints.joined(pair.peer);
  await turns(50);
  await pair.clock.advance(60_000);
  expect(asked).toBe(1);
  pair.checkpoints.joined(pair.peer);
  await turns(50);
  pair.checkpoints.left(pair.peer.id);
  await pair.clock.advance(60_000);
  expect(asked).toBe(2);
});
