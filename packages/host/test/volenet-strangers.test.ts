import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { TASK_TEXT_CHARS_MAX } from '@skein/protocol';
import { SpecVole, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { voleOptionsOf } from '../src/features/volenet/vole-feature.ts';
import { type Check, examineNode, loadConfig } from '../src/index.ts';
import { Nodes } from './nodes.ts';
import { startWithVole, trustLine } from './vole-peers.ts';

const signal = new AbortController().signal;

/** What `skein doctor` finds in a folder. */
async function doctor(cwd: string): Promise<readonly Check[]> {
  const checks: Check[] = [];
  const env = { SKEIN_HOST: '127.0.0.1', SKEIN_PORT: '0' };
  for await (const check of examineNode({ cwd, env }, { signal })) checks.push(check);
  return checks;
}

test('an OpenVole node that does not trust this one is shown as that, by its name, and told once', async () => {
  await using nodes = new Nodes();
  const vole = new SpecVole({ name: 'vole' });
  const away = new SpecVole({ name: 'away' });
  const asked = Promise.withResolvers<void>();
  let announcements = 0;
  const server = createServer(({ url }, response) => {
    announcements += url === '/volenet/message' ? 1 : 0;
    if (announcements >= 3) asked.resolve();
    const body = url === '/health' ? { protocol: 'volenet' } : { protocol: 'volenet', publicKey: vole.line };
    response.writeHead(url === '/volenet/message' ? 401 : 200).end(JSON.stringify(body));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  await using _server = { [Symbol.asyncDispose]: async () => void server.close().closeAllConnections() };
  const { port } = server.address() as AddressInfo;
  // Port 9 of this machine: nobody is there.
  const peers = [`http://127.0.0.1:${port}`, 'http://127.0.0.1:9'].map((url) => ({ url, dialect: 'volenet' as const }));
  const node = nodes.make('ours', { net: { peers } });
  const lines = [trustLine(vole, 'trust=full'), trustLine(away, 'trust=full')];
  writeFileSync(node.file('authorized_peers'), `${lines.join('\n')}\n`, { mode: 0o600 });
  await nodes.start(node);
  const told: string[] = [];
  const watching = new AbortController();
  const watch = (async () => {
    for await (const event of node.host.backend.events({ signal: watching.signal })) {
      if (event.type === 'peer-problem' && event.name === 'vole') told.push(event.problem);
    }
  })().catch(() => undefined);
  await asked.promise;
  watching.abort();
  await watch;
  expect(told.length).toBeLessThanOrEqual(1);
  const statusOf = async (name: string) => (await node.host.backend.peers()).find((peer) => peer.name === name);
  const problem = expect.stringContaining('does not trust this node’s key');
  expect(await statusOf('vole')).toMatchObject({ state: 'connecting', problem });
  // Nobody has shown that this key is at the other address.
  expect(await statusOf('away')).toMatchObject({
    problem: expect.stringMatching(/^never met; it may be at .*: Nobody answers/),
  });
});

test('net.authTimeoutMs and net.maxMessagesPerSecond count for OpenVole nodes too, up to the bounds of the dialect', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('ours', { net: { volenet: true, authTimeoutMs: 200 } });
  await nodes.start(node);
  const startedAtMs = performance.now();
  const socket = new WebSocket(node.url);
  const code = await new Promise((resolve) => socket.once('close', resolve));
  expect(code).toBe(1008);
  expect(performance.now() - startedAtMs).toBeLessThan(3_000);

  const { net } = loadConfig({ cwd: nodes.root, env: {} }).config;
  expect(voleOptionsOf(net)).toEqual({ encryption: 'prefer', proofTimeoutMs: 5_000, messagesPerSecond: 5_000 });
  expect(voleOptionsOf({ ...net, authTimeoutMs: 60_000, maxMessagesPerSecond: 7 })).toMatchObject({
    proofTimeoutMs: 5_000,
    messagesPerSecond: 7,
  });
});

test('a task whose context is too long is refused with its size, and one that fits is done with all of it', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({ script: [{ text: 'done' }] });
  const brain = { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } as const;
  await using net = await startWithVole(nodes, { config: { brain } });
  const refused = await net.ask(
    'task:delegate',
    { taskId: 't1', input: 'x', context: 'c'.repeat(TASK_TEXT_CHARS_MAX) },
    'task:result',
  );
  expect(refused).toMatchObject({ status: 'failed', error: expect.stringContaining(`${TASK_TEXT_CHARS_MAX + 3} characters`) });
  expect(llm.requests).toHaveLength(0);
  const context = `first ${'c'.repeat(TASK_TEXT_CHARS_MAX - 100)} last`;
  const end = await net.ask('task:delegate', { taskId: 't2', input: 'x', context }, 'task:result');
  expect(end).toEqual({ taskId: 't2', status: 'completed', result: 'done' });
  const asked = JSON.stringify(llm.requests);
  expect(asked).toContain('first ccc');
  expect(asked).toContain('ccc last');
});

test.each([
  ['vole.config.json', { paws: [{ name: '@openvole/paw-shell', allow: { filesystem: ['./work'] } }] }, 'allow.filesystem'],
  ['skein.config.json', { tools: { root: './work' } }, '(tools.root)'],
])(
  'doctor tells that the folder of tools in %s is not there, by the key that stands in that file',
  async (file, value, key) => {
    await using nodes = new Nodes();
    writeFileSync(path.join(nodes.root, file), JSON.stringify(value));
    const tools = (await doctor(nodes.root)).find(({ name }) => name === 'tools');
    const folder = path.join(nodes.root, 'work');
    expect(tools).toMatchObject({ state: 'warn', text: expect.stringContaining(key), fix: `run: mkdir -p ${folder}` });
    expect(tools?.text).toContain(folder);
  },
);

test.each(['volenet', 'auto'] as const)(
  'doctor says of an OpenVole node at an address (%s) that only a node that runs meets it',
  async (dialect) => {
    await using nodes = new Nodes();
    await using vole = await new SpecVole({ name: 'h1' }).start();
    const node = nodes.make('ours');
    const peers = [{ url: vole.url, dialect }];
    writeFileSync(path.join(node.cwd, 'skein.config.json'), JSON.stringify({ net: { peers } }));
    writeFileSync(node.file('authorized_peers'), `${trustLine(vole, 'trust=full')}\n`, { mode: 0o600 });
    expect(node.keyLine).toContain('skein-ed25519');
    const found = (await doctor(node.cwd)).find(({ name }) => name === 'peer h1');
    expect(found?.text).toContain('only a node that runs');
    expect(found?.text).not.toContain('no address');
  },
);
