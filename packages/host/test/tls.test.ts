import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { get } from 'node:https';
import path from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { createSelfSignedCertificate, rejection } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';

const CANARY = 'the-canary-in-the-call';

test('a peer is dialled by wss at a node with a certificate of its own making, and its tools are used', async () => {
  await using nodes = new Nodes();
  const worker = await startWithCertificate(nodes);
  const boss = nodes.make('boss');
  worker.trusts([boss, { trust: 'tool' }]);
  boss.trusts([worker, { url: wss(worker) }]);
  await nodes.start(boss);
  await boss.event('tools-changed');
  expect(await boss.call('worker/list_files', { path: '.' })).toMatchObject({
    // The key is not for tools.
    entries: [{ path: 'cert.pem' }],
  });
});

test('the page is there by https, and plainly for this machine', async () => {
  await using nodes = new Nodes();
  const worker = await startWithCertificate(nodes);
  const asked = get(`${wss(worker).replace('wss', 'https')}/health`, { rejectUnauthorized: false });
  const [secure] = await once(asked, 'response');
  secure.resume();
  expect(secure.statusCode).toBe(200);
  expect((await fetch(`${worker.url.replace('ws', 'http')}/health`)).status).toBe(200);
});

test('a man in the middle with a certificate of his own reads and changes nothing', async () => {
  await using nodes = new Nodes();
  const worker = await startWithCertificate(nodes);
  const boss = nodes.make('boss');
  worker.trusts([boss, { trust: 'tool' }]);
  await using middle = await startMiddle(Number(new URL(worker.url).port));
  boss.trusts([worker, { url: `wss://127.0.0.1:${middle.port}` }]);
  await nodes.start(boss);
  await boss.event('tools-changed');
  expect((await rejection(boss.call('worker/list_files', { path: CANARY }))).message).toContain(CANARY);
  const seen = middle.seen();
  expect(seen).toContain('Upgrade: websocket');
  for (const secret of [CANARY, 'list_files', 'worker']) expect(seen, secret).not.toContain(secret);

  const left = boss.event('peer-left');
  middle.spoil();
  await boss.call('worker/list_files', { path: '.' }).catch(() => undefined);
  await left;
});

test('another node with a certificate, at the address of one that is known, gets no session', async () => {
  await using nodes = new Nodes();
  const mallory = await startWithCertificate(nodes, 'mallory');
  const [worker, boss] = [nodes.make('worker'), nodes.make('boss')];
  mallory.trusts([boss, { trust: 'full' }]);
  boss.trusts([worker, { url: wss(mallory) }]);
  await nodes.start(boss);
  await boss.event('peer-problem', ({ problem }) => /another key|not the (one|key)|expected/.test(problem));
  expect(boss.host.backend.peers().filter(({ state }) => state === 'connected')).toEqual([]);
});

test('a certificate that does not fit its key stops the start, and says which files', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('worker', { net: { tls: { cert: 'cert.pem', key: 'key.pem' } } });
  writeFileSync(path.join(node.cwd, 'cert.pem'), createSelfSignedCertificate().cert);
  writeFileSync(path.join(node.cwd, 'key.pem'), createSelfSignedCertificate().key);
  const error = await rejection(node.start());
  expect(error.code).toBe('invalid');
  expect(error.message).toContain(path.join(node.cwd, 'key.pem'));
});

function wss(node: TestHost): string {
  return node.url.replace('ws', 'wss');
}

async function startWithCertificate(nodes: Nodes, name = 'worker'): Promise<TestHost> {
  const files = { cert: 'cert.pem', key: 'key.pem' };
  const node = nodes.make(name, { net: { tls: files, share: { tools: true } } });
  const pair = createSelfSignedCertificate(name);
  for (const part of ['cert', 'key'] as const) writeFileSync(path.join(node.cwd, files[part]), pair[part]);
  await nodes.start(node);
  return node;
}

/** Takes TLS off with a certificate of its own, keeps what passes, and goes on to the target with TLS again. */
async function startMiddle(targetPort: number) {
  const sockets = new Set<TLSSocket>();
  const seen: Buffer[] = [];
  let isSpoiling = false;
  const server = createServer(createSelfSignedCertificate('middle'), (client) => {
    const target = connect({ port: targetPort, host: '127.0.0.1', rejectUnauthorized: false });
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.on('data', (bytes: Buffer) => {
        seen.push(bytes);
        if (isSpoiling) bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
        to.write(bytes);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('It listens on no TCP port');
  return {
    port: address.port,
    seen: () => Buffer.concat(seen).toString('latin1'),
    spoil: () => {
      isSpoiling = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
