import { createIdentity, type PeerId } from '@skein/protocol';
import { BufferingProxy, rejection, TestNetwork, type TestNode, turns } from '@skein/testing';
import { expect, test } from 'vitest';
import { createHttpTransport, createWebTransport, type Peer } from '../src/index.ts';
import { echo } from './methods.ts';
import { startWebPlace } from './web-place.ts';

const NEVER = new AbortController().signal;

test('calls, both ways and a thousand at once, each get their own answer', async () => {
  await using pair = await startPair();
  for (const node of [pair.alice, pair.bob]) node.router.serve(echo, ({ text }) => ({ text: `${node.name} ${text}` }));
  const texts = Array.from({ length: 1_000 }, (_, index) => String(index));
  const answers = await Promise.all([
    ...texts.map((text) => pair.toBob.call(echo, { text })),
    ...texts.map((text) => pair.toAlice.call(echo, { text })),
  ]);
  expect(answers.map(({ text }) => text)).toEqual([
    ...texts.map((text) => `bob ${text}`),
    ...texts.map((text) => `alice ${text}`),
  ]);
});

test('parts come in order and before the result, and a slow taker stops the callee', async () => {
  await using pair = await startPair();
  let emitted = 0;
  pair.bob.router.serve(echo, async (_params, context) => {
    for (; emitted < 200; emitted += 1) await context.emit({ text: `${emitted} ${'x'.repeat(16_384)}` });
    return { text: 'done' };
  });
  const hold = Promise.withResolvers<void>();
  const got: number[] = [];
  const onPart = async ({ text }: { readonly text: string }) => {
    got.push(Number.parseInt(text, 10));
    await hold.promise;
  };
  const call = pair.toBob.call(echo, { text: '' }, { onPart });
  while (got.length === 0) await turns(1);
  await turns(50);
  expect(emitted).toBeLessThan(100);
  hold.resolve();
  expect((await call).text).toBe('done');
  expect(got).toEqual(Array.from({ length: 200 }, (_, at) => at));
});

test('a call that is cancelled, or past its deadline, ends over there too', async () => {
  await using pair = await startPair();
  const ends: string[] = [];
  let started = 0;
  pair.bob.router.serve(echo, (_params, { signal }) => {
    started += 1;
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        ends.push('stopped');
        reject(signal.reason);
      });
    });
  });
  const stop = new AbortController();
  const canceled = rejection(pair.toBob.call(echo, { text: '' }, { signal: stop.signal }));
  while (started === 0) await turns(1);
  stop.abort();
  expect((await canceled).code).toBe('canceled');
  expect((await rejection(pair.toBob.call(echo, { text: '' }, { timeoutMs: 200 }))).code).toBe('deadline-exceeded');
  while (ends.length < 2) await turns(1);
});

test('a peer that is let go gets nothing more, is told why, and calls in flight end at once', async () => {
  await using pair = await startPair();
  pair.bob.router.serve(echo, () => new Promise(() => {}));
  const call = rejection(pair.toBob.call(echo, { text: '' }));
  await turns(20);
  const sinceMs = performance.now();
  pair.bob.mesh.drop(pair.alice.identity.id, 'it was revoked');
  expect(await call).toMatchObject({ code: 'unavailable', message: expect.stringContaining('it was revoked') });
  // Its own deadline would be a minute.
  expect(performance.now() - sinceMs).toBeLessThan(10_000);
});

test('a body as large as a message may have crosses, both ways', async () => {
  await using pair = await startPair();
  pair.bob.router.serve(echo, ({ text }) => ({ text }));
  const text = 'x'.repeat(1_000_000);
  expect((await pair.toBob.call(echo, { text })).text.length).toBe(text.length);
});

test('a line that swallows everything is noticed within 15 s on both sides', { timeout: 40_000 }, async () => {
  await using pair = await startPair();
  pair.proxy.manners = { swallows: true };
  const sinceMs = performance.now();
  await Promise.all([pair.alice.event('peer-left'), pair.bob.event('peer-left')]);
  expect(performance.now() - sinceMs).toBeLessThan(15_500);
});

test('whoever sits between the two and holds another key gets no session, and learns nothing of one', async () => {
  await using network = new TestNetwork();
  await using place = await startWebPlace({ accept: (connection) => mallory.mesh.accept(connection) });
  const expected = createIdentity().id;
  const mallory = network.add('mallory');
  const alice = network.add('the-canary', {
    gatekeeper: { expectedAt: (): PeerId => expected },
    through: () => createHttpTransport(),
  });
  const error = await rejection(alice.mesh.dial(place.url.replace('ws', 'http'), { signal: NEVER }));
  expect(error.code).toBe('unauthenticated');
  expect(mallory.mesh.peers.size).toBe(0);
});

test('strangers that open and say nothing fill a budget of their own, and their connections end', {
  timeout: 20_000,
}, async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  await using place = await startWebPlace({ accept: (connection) => bob.mesh.accept(connection) });
  bob.router.serve(echo, ({ text }) => ({ text }));
  const alice = network.add('alice', { through: () => createWebTransport() });
  const peer = await alice.mesh.dial(place.url, { signal: NEVER });
  const open = () => fetch(`http://127.0.0.1:${place.port}/skein/v1/open`, { method: 'POST' });
  const statuses = await Promise.all(Array.from({ length: 80 }, async () => (await open()).status));
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(bob.events.filter(({ type }) => type === 'refused').length, '64 from one address may wait').toBe(16);
  expect(await peer.call(echo, { text: 'still served' })).toEqual({ text: 'still served' });
  let refused = 0;
  await bob.event('refused', () => {
    refused += 1;
    return refused === 80;
  });
  expect((await open()).status).toBe(200);
});

interface Pair extends AsyncDisposable {
  readonly alice: TestNode;
  readonly bob: TestNode;
  readonly toBob: Peer;
  readonly toAlice: Peer;
  readonly proxy: BufferingProxy;
}

/** Two nodes with a session over HTTP, through a proxy that buffers. */
async function startPair(): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const network = new TestNetwork();
  const bob = network.add('bob');
  const alice = network.add('alice', { through: () => createWebTransport() });
  const place = stack.use(await startWebPlace({ accept: (connection) => bob.mesh.accept(connection) }));
  const proxy = stack.use(await BufferingProxy.start(place.port));
  stack.use(network);
  const toBob = await alice.mesh.dial(proxy.url, { signal: NEVER });
  const { peer: toAlice } = await bob.event('peer-joined');
  expect([toBob.transport, toAlice.transport]).toEqual(['http', 'http']);
  const kept = stack.move();
  return { alice, bob, toBob, toAlice, proxy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
