import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadOrCreateIdentity, Router, type TrustOptions } from '@skein/mesh';
import {
  createIdentity,
  type Identity,
  openRevocationList,
  type PeerId,
  signRevocationList,
  toolsList,
  trustRevocations,
} from '@skein/protocol';
import { measured, sized } from '@skein/testing';
import { expect, test } from 'vitest';
import { dataDir } from '../src/data-dir.ts';
import { revokePeer, trustPeer } from '../src/operations/trust-peer.ts';
import { bareMesh } from './bare-mesh.ts';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf, untilFound } from './trust-files.ts';

const REVOKER: Partial<TrustOptions> = { trust: 'full', revoker: true };
const dirOf = (node: TestHost) => dataDir(node.file());
const keyOf = (node: TestHost): Identity => loadOrCreateIdentity(node.file('key'));
const trustText = (node: TestHost) => readFileSync(node.file('authorized_peers'), 'utf8');
const never = new AbortController().signal;

/** A node that makes `office` its revoker and trusts `thief`; both connected to it. */
async function startNet(nodes: Nodes, office: Partial<TrustOptions> = REVOKER) {
  const node = nodes.make('node', { net: { share: { tools: true } } });
  const [head, thief] = [nodes.make('office'), nodes.make('thief')];
  node.trusts([head, office], [thief, { trust: 'tool' }]);
  await nodes.start(node);
  for (const other of [head, thief]) other.trusts([node, { trust: 'full', url: node.url }]);
  return { node, office: head, thief };
}

test('a revocation that is shared ends the session with every peer that made its issuer a revoker, within two seconds', {
  repeats: sized({ ci: 0, full: 9 }),
}, async () => {
  await using nodes = new Nodes();
  const { node, office, thief } = await startNet(nodes);
  trustPeer(dirOf(office), thief.keyLine, { trust: 'tool' });
  const joined = [
    node.event('peer-joined', ({ name }) => name === 'office'),
    node.event('peer-joined', ({ name }) => name === 'thief'),
  ];
  await nodes.start(office);
  await using mesh = bareMesh(thief);
  const session = await mesh.dial(node.url, { signal: never });
  await Promise.all(joined);
  expect((await session.call(toolsList, {})).tools.length).toBeGreaterThan(0);
  const left = node.event('peer-left', ({ name }) => name === 'thief');
  const atMs = performance.now();
  await revokePeer(dirOf(office), 'thief', { share: true });
  await left;
  const closedMs = performance.now() - atMs;
  expect(closedMs).toBeLessThan(2_000);
  expect(trustText(node)).toMatch(/ thief trust=tool,revoked$/m);
  await expect(session.call(toolsList, {})).rejects.toMatchObject({ code: 'unavailable' });
  await expect(mesh.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  expect(await audited(node, 'revocations-applied')).toMatchObject({ name: 'office', count: 1 });
  measured('revocation', { counts: { revocations: 1 }, peaks: { closedMs } });
});

test('a revocation is pulled when the two meet, and holds after a restart without its issuer', async () => {
  await using nodes = new Nodes();
  const { node, office, thief } = await startNet(nodes);
  await revokePeer(dirOf(office), thief.keyLine, { share: true });
  await nodes.start(office);
  await untilFound(() => (trustText(node).includes('thief trust=tool,revoked') ? true : undefined));
  await office.host[Symbol.asyncDispose]();
  await node.host[Symbol.asyncDispose]();
  await node.start();
  await using mesh = bareMesh(thief);
  await expect(mesh.dial(node.url, { signal: never })).rejects.toMatchObject({ code: 'denied' });
  await node.host[Symbol.asyncDispose]();
});

test('a revocation that is not shared stays at home', async () => {
  await using nodes = new Nodes();
  const { node, office, thief } = await startNet(nodes);
  await revokePeer(dirOf(office), thief.keyLine);
  await nodes.start(office);
  await office.event('tools-changed');
  expect(trustText(node)).not.toContain('revoked');
});

/** A session of a bare `office` with the node, whose lists the test makes. */
async function bareOffice(nodes: Nodes, options: Partial<TrustOptions> = REVOKER) {
  const net = await startNet(nodes, options);
  const mesh = bareMesh(net.office, new Router());
  const peer = await mesh.dial(net.node.url, { signal: never });
  const key = keyOf(net.office);
  return {
    ...net,
    key,
    thiefId: keyOf(net.thief).id,
    give: (list: string) => peer.call(trustRevocations, { list }, { timeoutMs: 5_000 }),
    list: (version: number, ids: readonly PeerId[], by = key) => signRevocationList(by, { version, atMs: 1, ids }),
    [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose](),
  };
}

test.each([
  ['one trusted as a tool peer', { trust: 'tool', revoker: true }],
  ['one trusted in full that was not made a revoker', { trust: 'full' }],
] as const)('the list of %s is ignored and audited', async (_, options) => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes, options);
  await net.give(net.list(1, [net.thiefId]));
  expect(await audited(net.node, 'revocations-ignored')).toMatchObject({ name: 'office' });
  expect(trustText(net.node)).not.toContain('revoked');
});

test('an older list brought again takes nothing back and does nothing, also after a newer one without the key', async () => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes);
  const old = net.list(1, [net.thiefId]);
  await net.give(net.list(2, []));
  await net.give(old);
  expect(await audited(net.node, 'revocations-refused')).toMatchObject({ reason: expect.stringContaining('not newer than 2') });
  expect(trustText(net.node)).not.toContain('revoked');
  await net.give(net.list(3, [net.thiefId]));
  await net.give(net.list(4, []));
  // It can only take away: that a key is not named any more gives it nothing.
  expect(trustText(net.node)).toMatch(/thief trust=tool,revoked/);
});

test('a forged list, one of another issuer and one with a bit changed do nothing and are audited', async () => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes);
  const stranger = createIdentity();
  const good = Buffer.from(net.list(1, [net.thiefId]), 'base64');
  const flipped = Buffer.from(good);
  flipped.writeUInt8(flipped.readUInt8(60) ^ 1, 60);
  const forged = Buffer.concat([net.key.bytes, Buffer.from(net.list(1, [net.thiefId], stranger), 'base64').subarray(32)]);
  for (const list of [flipped, forged].map((bytes) => bytes.toString('base64'))) await net.give(list);
  await net.give(net.list(1, [net.thiefId], stranger));
  await net.give('nonsense');
  const refused = await untilFound(() => {
    const found = auditOf(net.node).filter(({ event }) => event === 'revocations-refused');
    return found.length === 4 ? found : undefined;
  });
  expect(refused.every(({ name }) => name === 'office')).toBe(true);
  expect(trustText(net.node)).not.toContain('revoked');
});

test('a list that names the node itself is taken without that, and one that names its issuer not at all', async () => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes);
  const own = keyOf(net.node).id;
  // Even where its own key stands in its file, as a copy of another node's may have it.
  trustPeer(dirOf(net.node), net.node.keyLine, { trust: 'full' });
  await net.give(net.list(1, [own, net.thiefId]));
  expect(await audited(net.node, 'revocations-ignored')).toMatchObject({ reason: 'it names this node itself' });
  expect(trustText(net.node).match(/revoked$/gm)).toHaveLength(1);
  expect(trustText(net.node)).toContain(`${net.node.keyLine} trust=full\n`);
  expect(() => net.list(2, [net.key.id])).toThrow(/its own issuer/);
});

test('a huge list is refused before it is read, and the node goes on', async () => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes);
  await expect(net.give('A'.repeat(900_000))).rejects.toMatchObject({ code: 'invalid' });
  await net.give('A'.repeat(40_000));
  const most = Array.from({ length: 1_024 }, (_, index) => (index === 0 ? net.thiefId : createIdentity().id));
  const atMs = performance.now();
  await net.give(net.list(1, most));
  expect(performance.now() - atMs).toBeLessThan(2_000);
  expect(trustText(net.node)).toMatch(/thief trust=tool,revoked/);
  // Keys that were never trusted here do not fill the file that people edit.
  expect(trustText(net.node).split('\n').length).toBeLessThan(10);
});

test('a key that was trusted anew by hand stays trusted while its revoker only names it again', async () => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes);
  await net.give(net.list(1, [net.thiefId]));
  trustPeer(dirOf(net.node), net.thief.keyLine, { trust: 'tool' });
  await net.give(net.list(2, [net.thiefId, createIdentity().id]));
  expect(trustText(net.node)).not.toContain('revoked');
});

test('one that is made a revoker while it is connected is asked what it revoked, at once', async () => {
  await using nodes = new Nodes();
  const { node, office, thief } = await startNet(nodes, { trust: 'full' });
  await revokePeer(dirOf(office), thief.keyLine, { share: true });
  await nodes.start(office);
  await audited(node, 'revocations-ignored');
  trustPeer(dirOf(node), office.keyLine, REVOKER);
  await audited(node, 'revocations-applied');
  expect(trustText(node)).toMatch(/thief trust=tool,revoked/);
});

test('a list that could not be kept is refused as something to bring again, and not as taken', async () => {
  await using nodes = new Nodes();
  await using net = await bareOffice(nodes);
  // A file in the place of the directory: nothing is written into it.
  rmSync(net.node.file('revocations'), { recursive: true, force: true });
  writeFileSync(net.node.file('revocations'), '');
  const list = net.list(1, [net.thiefId]);
  await expect(net.give(list)).rejects.toMatchObject({ code: 'unavailable' });
  rmSync(net.node.file('revocations'));
  await net.give(list);
  expect(await audited(net.node, 'revocations-applied')).toMatchObject({ name: 'office' });
  expect(trustText(net.node)).toMatch(/thief trust=tool,revoked/);
});

test('what one revoked is made known in a list that grows in version, signed by it', async () => {
  await using nodes = new Nodes();
  const { office, thief } = await startNet(nodes);
  await nodes.start(office);
  await revokePeer(dirOf(office), thief.keyLine, { share: true });
  const text = await untilFound(() => {
    try {
      return readFileSync(office.file('revocations', 'own'), 'utf8').trim();
    } catch {
      return undefined; // Not made yet.
    }
  });
  expect(openRevocationList(text)).toMatchObject({ issuer: { id: keyOf(office).id }, ids: [keyOf(thief).id] });
});
