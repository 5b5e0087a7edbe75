import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePorts, SpecVole } from '@skein/testing';
import { expect, test } from 'vitest';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

/** The folder of an OpenVole node as its own program leaves it, its key made as that makes it. */
class VoleFolder extends TempDir {
  readonly line: string;

  constructor(name: string) {
    super();
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.line = `vole-ed25519 ${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')} ${name}`;
    mkdirSync(path.join(this.path, '.openvole/net'), { recursive: true });
    this.write('.openvole/net/vole_key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    this.write('.openvole/net/vole_key.pub', `${this.line}\n`);
  }

  write(name: string, text: string): void {
    writeFileSync(path.join(this.path, name), text, { mode: 0o600 });
  }

  read(name: string): string {
    return readFileSync(path.join(this.path, name), 'utf8');
  }

  trusts(...lines: string[]): void {
    this.write('.openvole/net/authorized_voles', `# who may come in\n${lines.join('\n')}\n`);
  }

  configure(config: object): void {
    this.write('vole.config.json', JSON.stringify(config, null, 2));
  }
}

/** A coordinator with a brain and a worker with a shell, each trusting the other's key, as the VoleNet guide begins. */
async function guidePair(): Promise<{ coordinator: VoleFolder; worker: VoleFolder } & Disposable> {
  const coordinator = new VoleFolder('coordinator');
  const worker = new VoleFolder('worker');
  const [here, there] = await freePorts(2);
  coordinator.configure({
    brain: '@openvole/paw-brain',
    paws: [
      { name: '@openvole/paw-brain', allow: { network: ['*'], env: ['BRAIN_PROVIDER'] } },
      '@openvole/paw-memory',
      '@openvole/paw-session',
    ],
    loop: { maxIterations: 25, confirmBeforeAct: false },
    net: {
      enabled: true,
      instanceName: 'coordinator',
      role: 'coordinator',
      port: here,
      peers: [{ url: `http://localhost:${there}`, trust: 'full' }],
      share: { tools: false, memory: true },
    },
  });
  worker.configure({
    paws: [{ name: '@openvole/paw-shell', allow: { filesystem: ['./'], childProcess: true } }],
    loop: { confirmBeforeAct: false },
    net: {
      enabled: true,
      instanceName: 'worker',
      role: 'worker',
      port: there,
      peers: [{ url: `http://localhost:${here}`, trust: 'full' }],
      share: { tools: true, memory: false },
    },
  });
  coordinator.trusts(worker.line);
  worker.trusts(coordinator.line);
  return {
    coordinator,
    worker,
    [Symbol.dispose]() {
      coordinator[Symbol.dispose]();
      worker[Symbol.dispose]();
    },
  };
}

test("two folders with nothing but the guide's files run as they are, and one uses the other's shell", async () => {
  using pair = await guidePair();
  const { coordinator, worker } = pair;
  const key = coordinator.read('.openvole/net/vole_key');
  await using there = new SkeinProcess(['start', '--json'], { cwd: worker.path });
  expect(await there.line(({ type }) => type === 'ready')).toMatchObject({ name: 'worker' });
  await using here = new SkeinProcess(['start', '--json'], { cwd: coordinator.path });
  expect(await here.line(({ type }) => type === 'ready')).toMatchObject({ name: 'coordinator' });
  await here.line(({ type, name }) => type === 'tools-changed' && name === 'worker');

  const called = await skein(coordinator.path, ['call', 'worker/shell_exec', '{"command":"echo hello from there"}', '--json']);
  expect(called.lines.at(-1)).toEqual({
    type: 'result',
    name: 'worker/shell_exec',
    output: expect.objectContaining({ stdout: 'hello from there\n' }),
  });
  const asked = await skein(coordinator.path, ['ask', 'how full is the disk on worker?', '--json']);
  expect(asked.lines.at(-1)).toMatchObject({
    type: 'answer',
    toolCalls: [{ name: 'worker/shell_exec', peer: 'worker', ok: true }],
  });

  const shown = await skein(coordinator.path, ['net', 'show-key', '--json']);
  expect(shown.lines[0]).toMatchObject({ keyPath: path.join(coordinator.path, '.openvole/net/vole_key') });
  expect(coordinator.read('.openvole/net/vole_key')).toBe(key);
  expect(coordinator.read('.skein/authorized_peers')).toBe(`${worker.line}\n`);
  expect(worker.read('.skein/authorized_peers')).toBe(`${coordinator.line} trust=tool,assumed\n`);
  expect(existsSync(path.join(worker.path, 'skein.config.json'))).toBe(false);
});

test('a node imported from such a folder takes its place: same key, same peers', async () => {
  using pair = await guidePair();
  const { coordinator, worker } = pair;
  using dir = new TempDir();
  const imported = await skein(dir.path, ['import', 'vole', worker.path, '--json']);
  expect(imported.lines[0]).toMatchObject({ type: 'imported', keyCame: 'copied', trusted: [{ name: 'coordinator' }] });
  await using there = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  const ready = await there.line(({ type }) => type === 'ready');
  expect(imported.lines[0]?.key).toMatchObject({ name: 'worker', peerId: ready.peerId });
  await using here = new SkeinProcess(['start', '--json'], { cwd: coordinator.path });
  await here.line(({ type, name }) => type === 'tools-changed' && name === 'worker');
  const { lines } = await skein(coordinator.path, ['call', 'worker/shell_exec', '{"argv":["pwd"]}', '--json']);
  expect(lines.at(-1)).toEqual({
    type: 'result',
    name: 'worker/shell_exec',
    output: expect.objectContaining({ stdout: `${worker.path}\n` }),
  });
});

test('a key whose trust was taken back stays out, though authorized_voles still lists it', async () => {
  using pair = await guidePair();
  const { coordinator, worker } = pair;
  await skein(worker.path, ['net', 'trust', coordinator.line]);
  await skein(worker.path, ['net', 'revoke', 'coordinator']);
  await using there = new SkeinProcess(['start', '--json'], { cwd: worker.path });
  await there.line(({ type }) => type === 'ready');
  const { lines } = await skein(coordinator.path, ['call', 'worker/shell_exec', '{"command":"echo"}', '--json']);
  expect(lines.at(-1)).toMatchObject({ type: 'error', code: 'unavailable', message: expect.stringContaining('not connected') });
  expect(worker.read('.skein/authorized_peers')).toMatch(/^vole-ed25519 \S+ coordinator (?:trust=\w+,assumed,)?revoked\n$/);
});

test('what this version lacks stops the start and the doctor, named with what to do', async () => {
  using dir = new VoleFolder('node');
  dir.configure({ paws: ['@openvole/paw-shell', '@openvole/paw-telegram'], net: { enabled: true, port: 0 } });
  const { code, lines } = await skein(dir.path, ['start', '--json']);
  expect(code).toBe(1);
  expect(lines).toEqual([{ type: 'error', code: 'unsupported', message: expect.stringContaining('paw-telegram') }]);
  const sick = await skein(dir.path, ['doctor', '--json']);
  expect(sick.lines.find(({ name }) => name === 'config')).toMatchObject({ state: 'fail' });
  dir.configure({ paws: ['@openvole/paw-shell'], net: { enabled: true, port: 0, telepathy: true } });
  const well = await skein(dir.path, ['doctor', '--json']);
  expect(well.lines).toContainEqual(expect.objectContaining({ state: 'ok', text: 'net.telepathy: unknown key, left out' }));
});

test('no tool reads or writes what is its own: keys, who it trusts, and any file it could be configured by', async () => {
  using dir = new VoleFolder('node');
  dir.configure({ paws: ['@openvole/paw-filesystem'], net: { keyPath: 'keys/vole_key', port: 0 } });
  const { lines } = await skein(dir.path, ['call', 'write_file', '{"path":"a.txt","content":"x"}', '--json']);
  expect(lines.at(-1)).toMatchObject({ type: 'result' });
  const own = [
    '.openvole/net/vole_key',
    '.openvole/vault.json',
    'keys/authorized_voles',
    'skein.config.json',
    'vole.config.json',
  ];
  for (const file of own) {
    const input = JSON.stringify({ path: file, content: '{}' });
    expect((await skein(dir.path, ['call', 'write_file', input, '--json'])).lines.at(-1)).toMatchObject({ code: 'denied' });
  }
  expect(existsSync(path.join(dir.path, 'skein.config.json'))).toBe(false);
});

test('import says what it did in words, and refuses what it must with an exit code', async () => {
  using pair = await guidePair();
  using dir = new TempDir();
  const { code, stdout } = await skein(dir.path, ['import', 'vole', pair.coordinator.path]);
  expect(code).toBe(0);
  for (const words of ['Copied the key to', 'Trusted 1 key: worker (read)', 'What differs:', 'skein start']) {
    expect(stdout).toContain(words);
  }
  const again = await skein(dir.path, ['import', 'vole', pair.coordinator.path, '--json']);
  expect(again).toMatchObject({ code: 1, lines: [{ type: 'error', code: 'conflict' }] });
});

test('skein init beside a vole.config.json writes nothing that would take its place, and says what to do', async () => {
  using folder = new VoleFolder('worker');
  folder.configure({ paws: ['@openvole/paw-shell'], net: { enabled: true, instanceName: 'worker' } });
  const { code, stdout } = await skein(folder.path, ['init', '--yes', '--json']);
  expect(code).not.toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    type: 'error',
    code: 'conflict',
    message: expect.stringContaining('skein import vole'),
  });
  expect(existsSync(path.join(folder.path, 'skein.config.json'))).toBe(false);
  expect((await skein(folder.path, ['init', '--yes', '--force'])).code).toBe(0);
});

test('the key line for OpenVole nodes is printed where VoleNet is on, with the ML-DSA key where there is one', async () => {
  using folder = new VoleFolder('worker');
  folder.configure({ net: { enabled: true, instanceName: 'worker' } });
  const shown = await skein(folder.path, ['net', 'show-key', '--json']);
  expect(shown.lines[0]).toMatchObject({ voleLine: folder.line });
  const { privateKey, publicKey } = generateKeyPairSync('ml-dsa-65');
  folder.write('.openvole/net/vole_key.pq', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const whole = `${folder.line} ${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;
  const text = await skein(folder.path, ['net', 'show-key']);
  expect(text.stdout).toMatch(/^skein-ed25519 \S+ worker\nvole-ed25519 /);
  expect(text.stdout.split('\n')[1]).toBe(whole);

  using ours = new TempDir();
  await skein(ours.path, ['init', '--name', 'ours', '--json']);
  expect((await skein(ours.path, ['net', 'show-key', '--json'])).lines[0]).toMatchObject({ voleLine: null });
});

test('after kill -9 an OpenVole node is heard at once, and what it sent before is not heard again', async () => {
  using dir = new TempDir();
  await using vole = await new SpecVole({ name: 'vole', modern: true, tools: { echo: (params) => params } }).start();
  writeFileSync(
    path.join(dir.path, 'skein.config.json'),
    JSON.stringify({ name: 'ours', net: { port: 0, volenet: true, peers: [{ url: vole.url, dialect: 'volenet' }] } }),
  );
  await skein(dir.path, ['net', 'init', 'ours']);
  // What OpenVole has in its configuration is taken as an address here.
  await skein(dir.path, ['net', 'trust', vole.line, '--level', 'full', '--url', vole.url]);
  const [key] = (await skein(dir.path, ['net', 'show-key', '--json'])).lines;
  vole.trust(String(key?.voleLine));
  const met = async () => {
    const node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
    const { port } = await node.line(({ type }) => type === 'ready');
    const readyAtMs = performance.now();
    await node.line(({ type, name }) => type === 'peer-joined' && name === 'vole');
    return { node, url: `http://127.0.0.1:${port}`, afterMs: performance.now() - readyAtMs };
  };
  const first = await met();
  const chat = vole.make(
    'chat:message',
    '*',
    { text: 'hi', fromName: '' },
    { to: (await vole.received.find(({ type }) => type === 'ping')).from },
  );
  expect((await vole.post(first.url, chat)).status).toBe(200);
  first.node.child.kill('SIGKILL');
  await first.node.result();
  const again = await met();
  expect(again.afterMs).toBeLessThan(5_000);
  const called = await skein(dir.path, ['call', 'vole/echo', '{"say":"hi"}', '--json']);
  expect(called.lines.at(-1)).toMatchObject({ type: 'result', output: { say: 'hi' } });
  expect((await vole.post(again.url, chat)).status).toBe(401);
  await again.node[Symbol.asyncDispose]();
  expect((await again.node.result()).lines.filter(({ type }) => type === 'peer-problem')).toEqual([]);
});
