import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadOrCreateIdentity, Router } from '@skein/mesh';
import { chatSend, type PeerId, SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';
import { loadConfig } from '../src/config/load-config.ts';
import { rotateKey } from '../src/operations/rotate-key.ts';
import { bareMesh } from './bare-mesh.ts';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf } from './trust-files.ts';

const never = new AbortController().signal;
/** How long what comes about by itself may take on a machine that is busy. */
const SOON = { timeout: 15_000 };
const idOf = (node: TestHost): PeerId => loadOrCreateIdentity(node.file('key')).id;
const say = (from: TestHost, peer: string, text: string) => from.host.backend.sendMessage({ peer, text }, { signal: never });
const saidAt = (node: TestHost, peer?: string) =>
  node.host.backend.messages(peer).map(({ peer: { name }, state, text }) => `${name} ${state}: ${text}`);

/** Two nodes that trust each other; the right one dials. */
async function startTwo(nodes: Nodes) {
  const left = nodes.make('left');
  const first = nodes.make('right');
  left.trusts([first, { trust: 'read' }]);
  await nodes.start(left);
  first.trusts([left, { trust: 'read', url: left.url }]);
  const right = nodes.restart(first, {});
  const met = left.event('peer-joined');
  await nodes.start(right);
  await met;
  return { left, right };
}

/** A started node that trusts a peer of which nothing but the mesh runs. */
async function startBare(nodes: Nodes) {
  const node = nodes.make('node');
  const bare = nodes.make('bare');
  node.trusts([bare, { trust: 'read' }]);
  await nodes.start(node);
  return { node, bare };
}

test('a message is on the other side’s disk when it is sent, is told to people there, and no brain, log or record has its text', async () => {
  await using nodes = new Nodes();
  const log = path.join(nodes.root, 'right.log');
  const left = nodes.make('left');
  const right = nodes.make('right', { log: { level: 'trace', file: log } });
  left.trusts([right, { trust: 'read' }]);
  await nodes.start(left);
  right.trusts([left, { trust: 'read', url: left.url }]);
  const met = left.event('peer-joined');
  await nodes.start(right);
  await met;
  const told = right.event('chat-message');
  const sent = await say(left, 'right', 'is the lunch ready?');
  expect(sent).toMatchObject({ direction: 'out', state: 'sent', peer: { name: 'right', id: idOf(right) }, problem: null });
  expect(right.host.backend.messages()).toMatchObject([
    { id: sent.id, direction: 'in', state: 'received', text: 'is the lunch ready?', peer: { name: 'left', id: idOf(left) } },
  ]);
  expect(await told).toMatchObject({ name: 'left', id: idOf(left), text: 'is the lunch ready?' });
  await say(right, idOf(left), 'in a minute');
  expect(saidAt(left, 'right')).toEqual(['right sent: is the lunch ready?', 'right received: in a minute']);
  expect(right.host.backend.sessions()).toEqual([]);
  expect(right.host.backend.tasks()).toEqual([]);
  expect(await audited(right, 'chat')).toMatchObject({ peer: idOf(left), name: 'left' });
  for (const text of [JSON.stringify(auditOf(right)), readFileSync(log, 'utf8')]) expect(text).not.toContain('lunch');
});

test('what is written to a peer that is away waits, over a restart of its sender too, and comes in order and once', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startTwo(nodes);
  const gone = left.event('peer-left');
  await right.host[Symbol.asyncDispose]();
  await gone;
  for (const text of ['one', 'two', 'three']) expect(await say(left, 'right', text)).toMatchObject({ state: 'waiting' });
  const port = Number(new URL(left.url).port);
  await left.host[Symbol.asyncDispose]();
  const again = nodes.restart(left, { net: { port } });
  await nodes.start(again);
  expect(saidAt(again)).toEqual(['right waiting: one', 'right waiting: two', 'right waiting: three']);
  const back = nodes.restart(right, {});
  await nodes.start(back);
  await expect.poll(() => saidAt(again), SOON).toEqual(['right sent: one', 'right sent: two', 'right sent: three']);
  expect(saidAt(back)).toEqual(['left received: one', 'left received: two', 'left received: three']);
});

test('a sender that ended before it heard that its message was kept sends the same one again, and no other', async () => {
  await using nodes = new Nodes();
  const { node, bare } = await startBare(nodes);
  const got: string[] = [];
  const came = Promise.withResolvers<void>();
  let answers = false;
  const router = new Router();
  router.serve(chatSend, async ({ id, text }) => {
    got.push(`${id} ${text}`);
    came.resolve();
    // Kept there; the answer is lost.
    if (!answers) await new Promise(() => undefined);
    return {};
  });
  await using mesh = bareMesh(bare, router);
  await mesh.dial(node.url, { signal: never });
  const sending = say(node, 'bare', 'hello');
  sending.catch(() => undefined);
  await came.promise;
  const port = Number(new URL(node.url).port);
  await node.host[Symbol.asyncDispose]();
  const again = nodes.restart(node, { net: { port } });
  await nodes.start(again);
  expect(saidAt(again)).toEqual(['bare waiting: hello']);
  answers = true;
  await mesh.dial(again.url, { signal: never });
  await expect.poll(() => saidAt(again), SOON).toEqual(['bare sent: hello']);
  expect(got).toEqual([got[0], got[0]]);
});

test('a message that comes again, to another session and after a restart too, is answered the same and told once', async () => {
  await using nodes = new Nodes();
  const { node, bare } = await startBare(nodes);
  const told: string[] = [];
  const watching = new AbortController();
  const watch = (async () => {
    for await (const event of node.host.backend.events({ signal: watching.signal })) {
      if (event.type === 'chat-message') told.push(event.text);
    }
  })();
  const message = { id: randomUUID(), text: 'hello' };
  for (let session = 0; session < 2; session += 1) {
    await using mesh = bareMesh(bare);
    const peer = await mesh.dial(node.url, { signal: never });
    for (let time = 0; time < 3; time += 1) expect(await peer.call(chatSend, message)).toEqual({});
    await expect(peer.call(chatSend, { ...message, text: 'good-bye' })).rejects.toMatchObject({ code: 'conflict' });
  }
  await node.host[Symbol.asyncDispose]();
  watching.abort();
  await watch;
  const again = nodes.restart(node, {});
  await nodes.start(again);
  await using mesh = bareMesh(bare);
  const peer = await mesh.dial(again.url, { signal: never });
  expect(await peer.call(chatSend, message)).toEqual({});
  expect(saidAt(again)).toEqual(['bare received: hello']);
  expect(told).toEqual(['hello']);
});

test('a flood is answered with busy and when to come back, costs one record, and leaves the messages of others alone', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('node', { net: { chatRetention: { maxMessages: 5 } } });
  const [bare, calm] = [nodes.make('bare'), nodes.make('calm')];
  node.trusts([bare, { trust: 'read' }], [calm, { trust: 'read' }]);
  await nodes.start(node);
  await using quiet = bareMesh(calm);
  await (await quiet.dial(node.url, { signal: never })).call(chatSend, { id: randomUUID(), text: 'hello' });
  await using mesh = bareMesh(bare);
  const peer = await mesh.dial(node.url, { signal: never });
  const calls = Array.from({ length: 500 }, (_, n) => peer.call(chatSend, { id: randomUUID(), text: `message ${n}` }));
  const ends = await Promise.allSettled(calls);
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [SkeinError.from(end.reason)] : []));
  expect(refused.length).toBeGreaterThan(400);
  for (const { code, retryAfterMs } of refused) expect([code, (retryAfterMs ?? 0) > 0]).toEqual(['busy', true]);
  expect(saidAt(node, 'bare')).toHaveLength(5);
  expect(saidAt(node, 'calm')).toEqual(['calm received: hello']);
});

test('many messages at once all get through, each once: the sender comes back when it is told to', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startTwo(nodes);
  const texts = Array.from({ length: 25 }, (_, n) => `message ${n}`);
  await Promise.all(texts.map((text) => say(left, 'right', text)));
  await expect.poll(() => saidAt(left).filter((line) => line.includes(' sent: ')).length, SOON).toBe(25);
  expect(saidAt(right)).toEqual(texts.map((text) => `left received: ${text}`));
});

test('what a peer refuses for good is shown as refused with its reason, and does not hold up the next', async () => {
  await using nodes = new Nodes();
  const { node, bare } = await startBare(nodes);
  const router = new Router();
  router.serve(chatSend, ({ text }) => {
    if (text === 'no') throw new SkeinError('not here', { code: 'denied' });
    return {};
  });
  await using mesh = bareMesh(bare, router);
  const joined = node.event('peer-joined');
  await mesh.dial(node.url, { signal: never });
  await joined;
  expect(await say(node, 'bare', 'no')).toMatchObject({ state: 'refused', problem: expect.stringContaining('not here') });
  expect(await say(node, 'bare', 'yes')).toMatchObject({ state: 'sent' });
});

test('a node that has no such method refuses, and is not asked again and again', async () => {
  await using nodes = new Nodes();
  const { node, bare } = await startBare(nodes);
  await using mesh = bareMesh(bare);
  const joined = node.event('peer-joined');
  await mesh.dial(node.url, { signal: never });
  await joined;
  expect(await say(node, 'bare', 'hello')).toMatchObject({ state: 'refused', problem: expect.stringContaining('no method') });
});

test('what waits for a peer whose trust is taken back is never sent, also when it is trusted again', async () => {
  await using nodes = new Nodes();
  const { node, bare } = await startBare(nodes);
  await say(node, 'bare', 'for your eyes only');
  node.trusts([bare, { trust: 'read', revoked: true }]);
  await expect.poll(() => saidAt(node, 'bare'), SOON).toEqual(['bare refused: for your eyes only']);
  await expect(say(node, 'bare', 'hello')).rejects.toMatchObject({ code: 'not-found' });
  const joined = node.event('peer-joined');
  node.trusts([bare, { trust: 'read' }]);
  const got: string[] = [];
  const router = new Router();
  router.serve(chatSend, ({ text }) => {
    got.push(text);
    return {};
  });
  await using mesh = bareMesh(bare, router);
  await expect
    .poll(
      () =>
        mesh.dial(node.url, { signal: never }).then(
          () => true,
          () => false,
        ),
      SOON,
    )
    .toBe(true);
  await joined;
  await say(node, 'bare', 'hello');
  expect(got).toEqual(['hello']);
});

test('what waits for a peer reaches the key that took the place of its own', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startTwo(nodes);
  const gone = left.event('peer-left');
  await right.host[Symbol.asyncDispose]();
  await gone;
  await say(left, 'right', 'hello');
  rotateKey(loadConfig({ cwd: right.cwd, env: {}, overrides: { name: 'right' } }));
  const back = nodes.restart(right, {});
  await nodes.start(back);
  await expect.poll(() => saidAt(back), SOON).toEqual(['left received: hello']);
  await expect
    .poll(() => left.host.backend.messages('right'), SOON)
    .toMatchObject([{ state: 'sent', peer: { id: idOf(back) } }]);
});

test('a name that nobody has names the nearest, and one that two have sends to neither', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('node');
  const [one, two] = [nodes.make('monitor'), nodes.make('two')];
  const lines = [one.keyLine, two.keyLine.replace(/two$/, 'monitor')].map((line) => `${line} trust=read\n`);
  writeFileSync(node.file('authorized_peers'), lines.join(''), { mode: 0o600 });
  await nodes.start(node);
  await expect(say(node, 'moniter', 'hello')).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringContaining('"monitor"'),
  });
  await expect(say(node, 'monitor', 'hello')).rejects.toMatchObject({ code: 'conflict' });
  expect(await say(node, idOf(two), 'hello')).toMatchObject({ state: 'waiting' });
  await expect(say(node, idOf(two), '   ')).rejects.toMatchObject({ code: 'invalid' });
  expect(() => node.host.backend.messages('nobody')).toThrowError(expect.objectContaining({ code: 'not-found' }));
  expect(node.host.backend.messages()).toHaveLength(1);
});
