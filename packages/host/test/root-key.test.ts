import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadKeyFile, rotateKeyFile } from '@skein/mesh';
import { expect, test } from 'vitest';
import { type LoadedConfig, loadConfig } from '../src/config/load-config.ts';
import { examineNode } from '../src/operations/examine-node.ts';
import { initRoot, rotateKeyByRoot } from '../src/operations/root-key.ts';
import { Nodes, type TestHost } from './nodes.ts';
import { audited } from './trust-files.ts';

const never = new AbortController().signal;
const trustText = (node: TestHost) => readFileSync(node.file('authorized_peers'), 'utf8');
const loadedOf = (node: TestHost): LoadedConfig => loadConfig({ cwd: node.cwd, env: {}, overrides: { name: node.name } });

/** A node that dials a worker whose key has a root, which it has seen; the worker has stopped, and may come back as it was. */
async function startDialer(nodes: Nodes) {
  const worker = nodes.make('worker');
  const boss = nodes.make('boss');
  await nodes.start(worker);
  await worker.host[Symbol.asyncDispose]();
  copyFileSync(worker.file('key'), worker.file('key.unbound'));
  const stick = path.join(nodes.root, 'stick');
  mkdirSync(stick, { mode: 0o700 });
  const root = { file: path.join(stick, 'root') };
  const { root: words } = initRoot(loadedOf(worker), root);
  worker.trusts([boss, { trust: 'tool' }]);
  const bound = nodes.restart(worker, { net: { share: { tools: true } } });
  await nodes.start(bound);
  const port = Number(new URL(bound.url).port);
  boss.trusts([worker, { trust: 'full', url: bound.url }]);
  await nodes.start(boss);
  expect(await audited(boss, 'root-pinned')).toMatchObject({ peer: loadKeyFile(worker.file('key')).identity.id });
  await bound.host[Symbol.asyncDispose]();
  const comeBack = async () => {
    const back = nodes.restart(worker, { net: { port, share: { tools: true } } });
    await nodes.start(back);
    return back.host;
  };
  return { boss, worker, root, words, stick, comeBack };
}

test('a thief who answers at the address of the stolen key, with a rotation by it, is refused and told of', async () => {
  await using nodes = new Nodes();
  const { boss, worker, comeBack } = await startDialer(nodes);
  copyFileSync(worker.file('key.unbound'), worker.file('key'));
  const { from, to } = rotateKeyFile(worker.file('key'), { passphrase: undefined, nowMs: 1 });
  const before = trustText(boss);
  const told = boss.event('peer-problem', ({ problem }) => problem.includes('lacks the signature of the root'));
  await comeBack();
  expect((await told).id).toBe(to.id);
  expect(await audited(boss, 'rotation-refused')).toMatchObject({ peer: to.id, reason: expect.stringContaining(from.id) });
  expect(trustText(boss)).toBe(before);
  expect(readFileSync(boss.file('known_nodes'), 'utf8')).not.toContain(to.id);
});

test('who is rotated by the root is followed at the same address, time and again, and has the same root', async () => {
  await using nodes = new Nodes();
  const { boss, worker, root, comeBack } = await startDialer(nodes);
  // The second time it shows no root of the key that is expected there: that it is known must be enough.
  for (const times of [1, 2]) {
    const { peerId, former } = rotateKeyByRoot(loadedOf(worker), root);
    const listed = boss.event('tools-changed', ({ id }) => id === peerId);
    const host = await comeBack();
    await listed;
    expect(trustText(boss)).toMatch(new RegExp(`root=\\S+,revoked,successor=${peerId}\n.*root=`));
    expect(trustText(boss).split(`root=${loadRoot(worker)}`)).toHaveLength(2 + times);
    expect(readFileSync(boss.file('known_nodes'), 'utf8')).not.toContain(former.peerId);
    await expect(boss.call('worker/list_files', {})).resolves.toBeDefined();
    await host[Symbol.asyncDispose]();
  }
});

test('a thief who binds the stolen key to another root changes nothing, and people are told', async () => {
  await using nodes = new Nodes();
  const { boss, worker, stick, comeBack } = await startDialer(nodes);
  copyFileSync(worker.file('key.unbound'), worker.file('key'));
  const { root } = initRoot(loadedOf(worker), { file: path.join(stick, 'thief') });
  const before = trustText(boss);
  const told = boss.event('peer-problem', ({ problem }) => problem.includes(root.fingerprint));
  await comeBack();
  await told;
  expect(await audited(boss, 'root-refused')).toMatchObject({ reason: expect.stringContaining('another already') });
  expect(trustText(boss)).toBe(before);
});

test('the doctor names the root of the key', async () => {
  await using nodes = new Nodes();
  const { worker, words } = await startDialer(nodes);
  writeFileSync(path.join(worker.cwd, 'skein.config.json'), JSON.stringify({ name: 'worker', brain: { provider: 'none' } }));
  for await (const { name, text } of examineNode({ cwd: worker.cwd, env: {} }, { signal: never })) {
    if (name === 'key') {
      expect(text).toContain(`its root ${words.fingerprint}`);
      return;
    }
  }
  expect.unreachable();
});

/** The raw root in a node's key file, in base64. */
function loadRoot(node: TestHost): string {
  const [statement = ''] = loadKeyFile(node.file('key')).roots;
  return Buffer.from(statement, 'base64').subarray(32, 64).toString('base64');
}
