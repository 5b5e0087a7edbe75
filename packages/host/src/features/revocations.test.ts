import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditLog, RevocationLists, TrustStore } from '@skein/mesh';
import { createIdentity, formatKeyLine, openRevocationList, type SkeinError } from '@skein/protocol';
import { TestNetwork, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { Revocations } from './revocations.ts';

test('a revocation list that could not be written is made again until it is, and then given out', async () => {
  using stack = new DisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'skein-revocations-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const identity = createIdentity();
  const { router, mesh } = network.add('node', { identity });
  const trust = new TrustStore({ path: join(directory, 'authorized_peers') });
  const audit = new AuditLog({ path: join(directory, 'audit.jsonl'), clock, onError: () => {} });
  const lists = new RevocationLists({ directory: join(directory, 'lists'), now: () => clock.now() });
  const errors: SkeinError[] = [];
  const revocations = new Revocations({
    ...{ identity, trust, lists, router, audit, clock },
    peers: () => mesh.peers,
    isRevoker: () => false,
    onError: (error) => errors.push(error),
  });
  stack.defer(() => revocations.close());
  const stolen = createIdentity();
  // What the file is renamed over is a folder: the disk refuses.
  const place = join(directory, 'lists/own');
  mkdirSync(place, { recursive: true, mode: 0o700 });
  trust.trust(formatKeyLine(stolen, 'stolen'));
  trust.revoke('stolen', { share: true });
  revocations.start();
  await clock.advance(10_000);
  expect(lists.own).toBe(null);
  expect(errors).toMatchObject([{ code: 'unavailable' }, { code: 'unavailable' }]);

  rmSync(place, { recursive: true });
  await clock.advance(10_000);
  expect(openRevocationList(lists.own ?? '').ids).toEqual([stolen.id]);
  await clock.advance(60_000);
  expect(errors).toHaveLength(2);
});
