import { hash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadOrCreateIdentity, Router } from '@skein/mesh';
import { createIdentity, signAuditCheckpoint, trustCheckpoint } from '@skein/protocol';
import { expect, test } from 'vitest';
import { loadConfig } from '../src/config/load-config.ts';
import { examineNode } from '../src/operations/examine-node.ts';
import { rotateKey } from '../src/operations/rotate-key.ts';
import { bareMesh } from './bare-mesh.ts';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf, untilFound } from './trust-files.ts';

const never = new AbortController().signal;
const keyOf = (node: TestHost) => loadOrCreateIdentity(node.file('key'));
const checkpointOf = (node: TestHost) => readFileSync(node.file('audit.end'), 'utf8').trim();
const linesOf = (node: TestHost) => readFileSync(node.file('audit.jsonl'), 'utf8').trimEnd().split('\n');

/** What the doctor says of the audit log. */
async function auditCheck(node: TestHost) {
  const options = { cwd: node.cwd, env: {}, overrides: { name: node.name, net: { enabled: false } } };
  for await (const check of examineNode(options, { signal: never })) if (check.name === 'audit') return check;
  throw new Error('it did not look at the audit log');
}

/** A node, and a peer of its that keeps its checkpoints: the peer has kept the one of the node's first life. */
async function startWitnessed(nodes: Nodes) {
  const witness = nodes.make('witness');
  const node = nodes.make('node');
  witness.trusts([node, { trust: 'tool' }]);
  await nodes.start(witness);
  node.trusts([witness, { trust: 'full', url: witness.url }]);
  // A checkpoint is made when the log closes; the next life gives it to the peer.
  await live(node);
  await live(node);
  expect(readFileSync(witness.file('held_checkpoints'), 'utf8')).toContain(keyOf(node).id);
  return { node, witness };
}

/** One life of the node in which it meets its witness and hands its checkpoint over. */
async function live(node: TestHost): Promise<void> {
  await node.start();
  await audited(node, 'peer-joined');
  await untilFound(() => (existsSync(node.file('audit.end')) ? givenTo(node) : true));
  await node.host[Symbol.asyncDispose]();
}

/** True once what was remembered at the start stands with the peer. */
function givenTo(node: TestHost): true | undefined {
  return existsSync(node.file('audit.witnesses')) &&
    readFileSync(node.file('audit.witnesses'), 'utf8').includes(checkpointOf(node))
    ? true
    : undefined;
}

test('a node whose audit log was cut on its disk is told so by the peer that kept its checkpoint, and then by the doctor and at its start', async () => {
  await using nodes = new Nodes();
  const { node, witness } = await startWitnessed(nodes);
  const lines = linesOf(node);
  expect(await auditCheck(node)).toMatchObject({ state: 'ok', text: expect.stringContaining('as 1 of its peers keep it') });
  // The attacker has the whole disk and the key: the last records go, and all that is remembered here says so.
  forgeDisk(node, lines.slice(0, 1));
  const kept = readFileSync(witness.file('held_checkpoints'), 'utf8');
  const told = witness.event('peer-joined');
  await node.start();
  await told;
  expect(await audited(node, 'audit-tampered')).toMatchObject({ name: 'witness' });
  // What the peer keeps is not written over by the one who changed the log.
  expect(readFileSync(witness.file('held_checkpoints'), 'utf8')).toBe(kept);
  await node.host[Symbol.asyncDispose]();
  expect(await auditCheck(node)).toMatchObject({ state: 'fail', text: expect.stringContaining('audit.jsonl') });
  await expect(node.start()).rejects.toMatchObject({ code: 'corrupt' });
});

test('a node whose audit log was written anew is told that another one was kept, here and at the peer', async () => {
  await using nodes = new Nodes();
  const { node, witness } = await startWitnessed(nodes);
  for (const name of ['audit.jsonl', 'audit.end', 'audit.witnesses']) rmSync(node.file(name));
  const problem = witness.event('peer-problem', ({ problem }) => problem.includes('another audit log'));
  await live(node);
  await audited(node, 'audit-other-log');
  // The peer hears of it when it is given a checkpoint of the new one.
  await live(node);
  await problem;
  expect(await audited(witness, 'checkpoint-other-log')).toMatchObject({ name: 'node' });
  // Told once: a person may begin a new log.
  const before = auditOf(node).filter(({ event }) => event === 'audit-other-log').length;
  await live(node);
  expect(auditOf(node).filter(({ event }) => event === 'audit-other-log')).toHaveLength(before);
});

test('a log that only grew fits what was kept, over restarts and a new key', async () => {
  await using nodes = new Nodes();
  const { node, witness } = await startWitnessed(nodes);
  for (let times = 0; times < 3; times += 1) await live(node);
  rotateKey(loadConfig({ cwd: node.cwd, env: {}, overrides: { name: node.name } }));
  await live(node);
  await live(node);
  expect(readFileSync(witness.file('held_checkpoints'), 'utf8')).toContain(keyOf(node).id);
  const names = auditOf(node).map(({ event }) => event);
  for (const event of ['audit-tampered', 'audit-other-log', 'checkpoint-refused']) expect(names).not.toContain(event);
  expect(auditOf(witness).map(({ event }) => event)).not.toContain('checkpoint-went-back');
});

/** A peer that hands whatever checkpoints it likes to a node that keeps them. */
async function startKeeper(nodes: Nodes) {
  const keeper = nodes.make('keeper');
  const peer = nodes.make('peer');
  keeper.trusts([peer, { trust: 'read' }]);
  await nodes.start(keeper);
  const mesh = bareMesh(peer, new Router());
  const session = await mesh.dial(keeper.url, { signal: never });
  const identity = keyOf(peer);
  return {
    keeper,
    identity,
    give: (checkpoint: string | null) => session.call(trustCheckpoint, { checkpoint }, { timeoutMs: 5_000 }),
    sign: (count: number, head = 'aa', by = identity) =>
      signAuditCheckpoint(by, { count, head: head.repeat(32), log: 'cc'.repeat(32), atMs: 1 }),
    reopen: async () => {
      session.close('again');
      const next = await mesh.dial(keeper.url, { signal: never });
      return (checkpoint: string | null) => next.call(trustCheckpoint, { checkpoint }, { timeoutMs: 5_000 });
    },
    [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose](),
  };
}

test('what is kept of a peer is given back to it, and not written more often than every five seconds', async () => {
  await using nodes = new Nodes();
  await using net = await startKeeper(nodes);
  expect(await net.give(null)).toEqual({ held: null });
  expect(await net.give(net.sign(5))).toEqual({ held: null });
  expect(await net.give(null)).toEqual({ held: net.sign(5) });
  await expect(net.give(net.sign(6))).rejects.toMatchObject({ code: 'busy', retryAfterMs: expect.any(Number) });
  expect(await net.give(null)).toEqual({ held: net.sign(5) });
});

test.each([
  ['fewer records', (sign: (count: number, head?: string) => string) => sign(4)],
  ['as many records and another last one', (sign: (count: number, head?: string) => string) => sign(5, 'bb')],
] as const)('a peer whose log has %s than was kept is told of to people here, whatever it says itself', async (_, next) => {
  await using nodes = new Nodes();
  await using net = await startKeeper(nodes);
  await net.give(net.sign(5));
  const give = await net.reopen();
  const told = net.keeper.event('peer-problem', ({ problem }) => problem.includes('it was changed'));
  expect(await give(next(net.sign))).toEqual({ held: net.sign(5) });
  await told;
  expect(await audited(net.keeper, 'checkpoint-went-back')).toMatchObject({ name: 'peer' });
});

test('a checkpoint of another issuer, or one that is not signed by its own, is not kept', async () => {
  await using nodes = new Nodes();
  await using net = await startKeeper(nodes);
  await expect(net.give(net.sign(5, 'aa', createIdentity()))).rejects.toMatchObject({ code: 'unauthenticated' });
  const bytes = Buffer.from(net.sign(5), 'base64');
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  await expect(net.give(bytes.toString('base64'))).rejects.toMatchObject({ code: 'unauthenticated' });
  await expect(net.give('nonsense')).rejects.toMatchObject({ code: 'invalid' });
  expect(await net.give(null)).toEqual({ held: null });
});

/** The disk after somebody who has all of it cut the log, with everything on it that could tell made to fit. */
function forgeDisk(node: TestHost, lines: readonly string[]): void {
  const [head = '', log = ''] = [lines.at(-1), lines[0]].map((line) => hash('sha256', line ?? ''));
  writeFileSync(node.file('audit.jsonl'), lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  const end = { count: lines.length, head, log, atMs: 1 };
  writeFileSync(node.file('audit.end'), signAuditCheckpoint(keyOf(node), end), { mode: 0o600 });
  rmSync(node.file('audit.witnesses'));
}
