import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import {
  createWebSocketTransport,
  loadKeyFile,
  loadOrCreateIdentity,
  Mesh,
  Router,
  systemClock,
  type TrustOptions,
} from '@skein/mesh';
import {
  createIdentity,
  formatKeyLine,
  type Identity,
  signRevocationList,
  signRootRotation,
  signRootStatement,
  signRotation,
  toolsList,
  trustRevocations,
} from '@skein/protocol';
import { expect, test } from 'vitest';
import { type LoadedConfig, loadConfig } from '../src/config/load-config.ts';
import { dataDir } from '../src/data-dir.ts';
import { rotateKey } from '../src/operations/rotate-key.ts';
import { revokePeer, trustPeer } from '../src/operations/trust-peer.ts';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf, untilFound } from './trust-files.ts';

const never = new AbortController().signal;
const keyOf = (node: TestHost): Identity => loadOrCreateIdentity(node.file('key'));
const trustText = (node: TestHost) => readFileSync(node.file('authorized_peers'), 'utf8');
const loadedOf = (node: TestHost): LoadedConfig => loadConfig({ cwd: node.cwd, env: {}, overrides: { name: node.name } });

/** A key as a peer that runs nothing else, with what its hello shows. */
function meshOf(identity: Identity, rotations: readonly string[] = [], roots: readonly string[] = []): Mesh {
  return new Mesh({
    identity,
    name: 'worker',
    rotations,
    roots,
    boot: '1'.repeat(32),
    gatekeeper: {
      admitCaller: () => ({ admitted: false, code: 'untrusted' }),
      admitAnswer: () => ({ admitted: true }),
      expectedAt: () => undefined,
    },
    transports: [createWebSocketTransport()],
    router: new Router(),
    limits: { maxConcurrentCalls: 10, maxMessagesPerSecond: 1_000 },
    clock: systemClock,
    random: Math.random,
    onEvent: () => undefined,
    onInternalError: () => undefined,
  });
}

/** A started node that trusts the key of a worker, which is not started. */
async function startNode(nodes: Nodes, options: Partial<TrustOptions> = { trust: 'tool' }) {
  const node = nodes.make('node', { net: { share: { tools: true } } });
  const worker = nodes.make('worker', { net: { share: { tools: true } } });
  node.trusts([worker, options]);
  await nodes.start(node);
  worker.trusts([node, { trust: 'tool', url: node.url }]);
  return { node, worker, old: keyOf(worker) };
}

test('a node with a new key keeps what it was granted, also by a peer that was away; the old key is refused from then on', async () => {
  await using nodes = new Nodes();
  const { node, worker, old } = await startNode(nodes, { trust: 'tool', denyTools: ['shell_exec'] });
  const rotated = rotateKey(loadedOf(worker));
  expect(rotated.former.peerId).toBe(old.id);
  await using thief = meshOf(old);
  // Not seen by the node yet: the old key is good there.
  await (await thief.dial(node.url, { signal: never })).call(toolsList, {});
  const left = node.event('peer-left', ({ id }) => id === old.id);
  const joined = node.event('peer-joined', ({ id }) => id === rotated.peerId);
  await nodes.start(worker);
  await Promise.all([joined, left]);
  await worker.event('tools-changed');
  expect(worker.host.backend.tools().map(({ name }) => name)).toContain('node/list_files');
  expect(worker.host.backend.tools().map(({ name }) => name)).not.toContain('node/shell_exec');
  expect(trustText(node)).toMatch(
    new RegExp(`trust=tool,deny=shell_exec,revoked,successor=${rotated.peerId}\n.*trust=tool,deny=shell_exec\n`),
  );
  await expect(thief.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  expect(await audited(node, 'key-rotated')).toMatchObject({ peer: rotated.peerId });
});

test('a peer that dials finds the new key at the old address, and pins it', async () => {
  await using nodes = new Nodes();
  const worker = nodes.make('worker', { net: { share: { tools: true } } });
  const boss = nodes.make('boss');
  worker.trusts([boss, { trust: 'tool' }]);
  await nodes.start(worker);
  const port = Number(new URL(worker.url).port);
  boss.trusts([worker, { trust: 'full', url: worker.url }]);
  const oldLine = worker.keyLine;
  const old = keyOf(worker).id;
  await nodes.start(boss);
  await boss.event('tools-changed');
  await worker.host[Symbol.asyncDispose]();
  const { peerId } = rotateKey(loadedOf(worker));
  const listed = boss.event('tools-changed', ({ id }) => id === peerId);
  await nodes.start(nodes.restart(worker, { net: { port, share: { tools: true } } }));
  await listed;
  expect(readFileSync(boss.file('known_nodes'), 'utf8')).toContain(peerId);
  expect(readFileSync(boss.file('known_nodes'), 'utf8')).not.toContain(old);
  expect(trustText(boss)).toContain(`${oldLine} trust=full,url=${worker.url},revoked,successor=${peerId}`);
  await expect(boss.call('worker/list_files', {})).resolves.toBeDefined();
});

test('what the configuration says of the old key holds for the new one: a rotation sheds no restriction', async () => {
  await using nodes = new Nodes();
  const worker = nodes.make('worker');
  const url = 'ws://127.0.0.1:9';
  const peers = [{ url, key: worker.keyLine, trust: 'read' as const }];
  const node = nodes.make('node', { net: { share: { tools: true }, peers } });
  node.trusts([worker, { trust: 'full' }]);
  await nodes.start(node);
  rotateKey(loadedOf(worker));
  const { identity, rotations } = loadKeyFile(worker.file('key'));
  await using mesh = meshOf(identity, rotations);
  const peer = await mesh.dial(node.url, { signal: never });
  await expect(peer.call(toolsList, {})).rejects.toMatchObject({ code: 'denied' });
});

test('a second successor of one key is refused and told, whichever node shows it', async () => {
  await using nodes = new Nodes();
  const { node, old } = await startNode(nodes);
  const [first, second] = [createIdentity(), createIdentity()];
  await using owner = meshOf(first, [signRotation(old, first, 1)]);
  await owner.dial(node.url, { signal: never });
  const told = node.event('peer-problem', ({ problem }) => problem.includes('another successor'));
  await using thief = meshOf(second, [signRotation(old, second, 0)]);
  await expect(thief.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  expect((await told).id).toBe(second.id);
  expect(await audited(node, 'rotation-refused')).toMatchObject({ peer: second.id });
  expect(trustText(node)).not.toContain(second.id);
  // And the one who came first stays.
  await using again = meshOf(first, [signRotation(old, first, 1)]);
  await again.dial(node.url, { signal: never });
});

test('a rotation by a key that was revoked lets nobody in', async () => {
  await using nodes = new Nodes();
  const { node, old } = await startNode(nodes);
  await revokePeer(dataDir(node.file()), 'worker');
  const next = createIdentity();
  await using thief = meshOf(next, [signRotation(old, next, 1)]);
  // The running node takes the revocation up first.
  await audited(node, 'trust-revoked');
  await expect(thief.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  expect(await audited(node, 'rotation-refused')).toMatchObject({ reason: expect.stringContaining('was revoked') });
});

test('a rotation without the signature of the old key, or shown by another, lets nobody in', async () => {
  await using nodes = new Nodes();
  const { node, old } = await startNode(nodes);
  const [next, stranger] = [createIdentity(), createIdentity()];
  const bytes = Buffer.from(signRotation(stranger, next, 1), 'base64');
  const forged = Buffer.concat([old.bytes, bytes.subarray(32)]).toString('base64');
  await using forger = meshOf(next, [forged]);
  await expect(forger.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  await using reflector = meshOf(stranger, [signRotation(old, next, 1)]);
  await expect(reflector.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  expect(trustText(node)).not.toContain('successor');
  expect(await audited(node, 'rotation-refused')).toMatchObject({ reason: expect.stringContaining('not signed by both') });
});

test('who answers at an address with an unknown key and no rotation from the pinned one is refused', async () => {
  await using nodes = new Nodes();
  const worker = nodes.make('worker');
  const boss = nodes.make('boss');
  worker.trusts([boss, { trust: 'tool' }]);
  await nodes.start(worker);
  const other = nodes.make('other');
  boss.trusts([other, { url: worker.url, trust: 'full' }]);
  await nodes.start(boss);
  // It tries again and again.
  await boss.event('peer-problem', ({ problem }) => problem.includes('Another node answered'));
  expect(trustText(boss)).not.toContain(keyOf(worker).id);
  expect(auditOf(boss).some(({ event }) => event === 'peer-joined')).toBe(false);
});

test('a running node’s key is not rotated under it', async () => {
  await using nodes = new Nodes();
  const { node } = await startNode(nodes);
  const before = readFileSync(node.file('key'), 'utf8');
  // As seen from another process: the one that runs is another one.
  writeFileSync(node.file('running.json'), JSON.stringify({ pid: process.ppid, port: 1, startedAtMs: 1 }));
  expect(() => rotateKey(loadedOf(node))).toThrow(expect.objectContaining({ code: 'conflict' }));
  expect(readFileSync(node.file('key'), 'utf8')).toBe(before);
  expect(existsSync(node.file('key.previous'))).toBe(false);
  expect(formatKeyLine(keyOf(node), 'node')).toBe(node.keyLine);
});

/** How a key is revoked at a node: each resolves when that is done. */
const REVOCATIONS = {
  'by hand': async (node: TestHost, old: Identity) => {
    revokePeer(dataDir(node.file()), old.id);
  },
  'by the list of a revoker': async (node: TestHost, old: Identity, office: TestHost) => {
    const key = keyOf(office);
    await using mesh = meshOf(key);
    const peer = await mesh.dial(node.url, { signal: never });
    const list = signRevocationList(key, { version: 1, atMs: 1, ids: [old.id] });
    await peer.call(trustRevocations, { list }, { timeoutMs: 5_000 });
  },
} as const;

/** A started node that trusts the key of a worker, which a thief has too, and an office whose list counts. */
async function startRobbed(nodes: Nodes) {
  const node = nodes.make('node', { net: { share: { tools: true } } });
  const [worker, office] = [nodes.make('worker'), nodes.make('office')];
  node.trusts([worker, { trust: 'tool' }], [office, { trust: 'full', revoker: true }]);
  await nodes.start(node);
  return { node, office, old: keyOf(worker) };
}

test.each(['by hand', 'by the list of a revoker'] as const)(
  'a stolen key that is revoked %s takes along those its thief has made of it: their session ends and they stay out',
  async (how) => {
    await using nodes = new Nodes();
    const { node, office, old } = await startRobbed(nodes);
    const [first, second, third] = [createIdentity(), createIdentity(), createIdentity()];
    const rotations = [signRotation(old, first, 1), signRotation(first, second, 2)];
    const joined = node.event('peer-joined', ({ id }) => id === second.id);
    await using thief = meshOf(second, rotations);
    const session = await thief.dial(node.url, { signal: never });
    await joined;
    expect((await session.call(toolsList, {})).tools.length).toBeGreaterThan(0);
    const left = node.event('peer-left', ({ id }) => id === second.id);
    const atMs = performance.now();
    await REVOCATIONS[how](node, old, office);
    await left;
    expect(performance.now() - atMs).toBeLessThan(2_000);
    await expect(session.call(toolsList, {})).rejects.toMatchObject({ code: 'unavailable' });
    await untilFound(() => auditOf(node).find(({ event, peer }) => event === 'trust-revoked' && peer === second.id));
    // With what it has it comes back by none of its keys, nor by a new one.
    for (const [identity, shown] of [
      [old, []],
      [first, rotations.slice(0, 1)],
      [second, rotations],
      [third, [...rotations, signRotation(second, third, 3)]],
      [third, [signRotation(old, third, 3)]],
    ] as const) {
      await using again = meshOf(identity, shown);
      await expect(again.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
    }
  },
);

test.each(['by hand', 'by the list of a revoker'] as const)(
  'the owner whom its root has given a new key stays when the stolen one is revoked %s',
  async (how) => {
    await using nodes = new Nodes();
    const { node, office, old } = await startRobbed(nodes);
    const [root, next] = [createIdentity(), createIdentity()];
    const rotation = signRootRotation({ root, from: old, to: next, atMs: 2 });
    const joined = node.event('peer-joined', ({ id }) => id === next.id);
    await using owner = meshOf(next, [rotation], [signRootStatement(old, root, 1), signRootStatement(next, root, 2)]);
    const session = await owner.dial(node.url, { signal: never });
    await joined;
    await REVOCATIONS[how](node, old, office);
    // The running node takes a change of the file up in its order.
    trustPeer(dataDir(node.file()), formatKeyLine(createIdentity(), 'later'), { trust: 'read' });
    await untilFound(() => auditOf(node).find(({ event, name }) => event === 'trust-added' && name === 'later'));
    expect((await session.call(toolsList, {})).tools.length).toBeGreaterThan(0);
    expect(trustText(node)).toContain(formatKeyLine(next, 'worker'));
    expect(trustText(node).match(/revoked/g)).toHaveLength(1);
  },
);
