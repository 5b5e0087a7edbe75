import { createIdentity, type PublicIdentity, signRootRotation, signRotation } from '@skein/protocol';
import { rejection, TestNetwork } from '@skein/testing';
import { expect, test } from 'vitest';
import { Mesh, Router, systemClock } from '../src/index.ts';

const [old, next, root, otherRoot] = [createIdentity(), createIdentity(), createIdentity(), createIdentity()];
const byRoot = signRootRotation({ root, from: old, to: next, atMs: 1 });

/** Alice expects the old key where the next one answers, with this rotation and no root shown. */
async function dialNext(rotation: string, rootOf: () => PublicIdentity | undefined) {
  await using network = new TestNetwork();
  const told: string[] = [];
  await using answering = new Mesh({
    identity: next,
    name: 'next',
    rotations: [rotation],
    boot: '1'.repeat(32),
    gatekeeper: {
      admitCaller: () => ({ admitted: true }),
      admitAnswer: () => ({ admitted: true }),
      expectedAt: () => undefined,
    },
    transports: [],
    router: new Router(),
    limits: { maxConcurrentCalls: 1, maxMessagesPerSecond: 100 },
    clock: systemClock,
    random: Math.random,
    onEvent: () => undefined,
    onInternalError: () => undefined,
  });
  using _listening = { [Symbol.dispose]: network.pipes.listen('next', (connection) => answering.accept(connection)) };
  const alice = network.add('alice', {
    gatekeeper: {
      expectedAt: () => old.id,
      mayBeSuccessor: () => true,
      rootOf: (id) => (id === old.id ? rootOf() : undefined),
      notSuccessor: (peer, { rotations }) => told.push(`${peer.id === next.id} ${rotations?.length}`),
    },
  });
  const dialled = alice.mesh.dial('memory://next', { signal: new AbortController().signal });
  const outcome = await dialled.then(
    ({ id }) => id,
    () => rejection(dialled),
  );
  return { outcome, told };
}

test('a key that its root put in the place of the expected one is it, where that root is known', async () => {
  expect(await dialNext(byRoot, () => root)).toEqual({ outcome: next.id, told: [] });
  const refused = { outcome: { code: 'unauthenticated' }, told: ['true 1'] };
  expect(await dialNext(byRoot, () => undefined)).toMatchObject(refused);
  expect(await dialNext(byRoot, () => otherRoot)).toMatchObject(refused);
});

test('a key that the expected one signed alone is it only while that one has no root; else it is told', async () => {
  const rotation = signRotation(old, next, 1);
  expect(await dialNext(rotation, () => undefined)).toEqual({ outcome: next.id, told: [] });
  expect(await dialNext(rotation, () => root)).toMatchObject({ outcome: { code: 'unauthenticated' }, told: ['true 1'] });
});
