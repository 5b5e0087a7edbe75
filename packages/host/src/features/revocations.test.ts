import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditLog, RevocationLists, TrustStore } from '@skein/mesh';
import {
  createIdentity,
  formatKeyLine,
  openRevocationList,
  publicIdentity,
  REVOCATIONS_MAX,
  type SkeinError,
} from '@skein/protocol';
import { TestNetwork, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { Revocations } from './revocations.ts';

/** What makes the list of a node from its trust file, and what it told. */
function openRevocations(stack: AsyncDisposableStack) {
  const directory = mkdtempSync(join(tmpdir(), 'skein-revocations-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const clock = new VirtualClock();
  const network = stack.use(new TestNetwork(clock));
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
  return { directory, clock, trust, lists, audit, errors, revocations };
}

test('a revocation list that could not be written is made again until it is, and then given out', async () => {
  await using stack = new AsyncDisposableStack();
  const { directory, clock, trust, lists, errors, revocations } = openRevocations(stack);
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

test('of more keys than a list names, written into the file by hand, people are told, once for each change of the file', async () => {
  await using stack = new AsyncDisposableStack();
  const { directory, trust, lists, errors, revocations } = openRevocations(stack);
  const path = join(directory, 'authorized_peers');
  const lineOf = (index: number) =>
    `${formatKeyLine(publicIdentity(Buffer.alloc(32, `${index} `)), `old${index}`)} revoked,share-revocation\n`;
  writeFileSync(path, '', { mode: 0o600 });
  revocations.start();
  const write = (count: number) => {
    writeFileSync(path, Array.from({ length: count }, (_, index) => lineOf(index)).join(''));
    trust.addMissing([]); // Reads the file again: each line that is new in it is a change.
  };
  write(REVOCATIONS_MAX);
  expect(errors).toEqual([]);
  write(REVOCATIONS_MAX + 2);
  expect(openRevocationList(lists.own ?? '').ids).toHaveLength(REVOCATIONS_MAX);
  expect(errors).toMatchObject([{ code: 'too-large', message: expect.stringMatching(/ 1026 keys.* 1024\b/) }]);
  trust.trust(formatKeyLine(createIdentity(), 'another'));
  expect(errors).toHaveLength(1);
  write(REVOCATIONS_MAX + 1);
  expect(errors).toHaveLength(2);
});
