import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDatabase } from '@skein/engine';
import { type AuditRecord, authorize, TrustStore } from '@skein/mesh';
import { chatSend, createIdentity, formatKeyLine, type Identity, type PeerId, SkeinError } from '@skein/protocol';
import { rejection, TestNetwork, type TestNode, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import type { HostEvent } from '../../events.ts';
import { chatMigrations } from './chat-migrations.ts';
import type { TalkingVole } from './chat-outbox.ts';
import { ChatStore } from './chat-store.ts';
import { PeerChat } from './peer-chat.ts';

/** How long what comes about by itself may take on a machine that is busy. */
const SOON = { timeout: 4_000 };

/** The messages of one node, which trusts the others. */
async function chatOf(
  node: TestNode,
  others: readonly { readonly name: string; readonly identity: Identity }[],
  stack: AsyncDisposableStack,
  { clock = new VirtualClock(), voles = [] }: { readonly clock?: VirtualClock; readonly voles?: readonly TalkingVole[] } = {},
) {
  const directory = mkdtempSync(path.join(tmpdir(), 'skein-chat-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const trust = stack.use(new TrustStore({ path: path.join(directory, 'authorized_peers') }));
  for (const { identity, name } of others) trust.trust(formatKeyLine(identity, name));
  const database = stack.use(openDatabase({ path: ':memory:', migrations: chatMigrations }));
  const store = new ChatStore({ database, now: () => clock.now(), retention: { maxMessages: 1_000, maxAgeDays: 90 } });
  const records: AuditRecord[] = [];
  const events: HostEvent[] = [];
  const { mesh, router, name } = node;
  const chat = stack.use(
    new PeerChat({
      ...{ name, store, router, mesh, trust, clock, volePeers: () => voles, randomId: randomUUID },
      audit: { append: (record) => void records.push(record) },
      onEvent: (event) => events.push(event),
      onError: (error) => {
        throw error;
      },
    }),
  );
  await chat.start();
  return { chat, store, records, events };
}

test('a peer without the grant is denied and recorded, and nothing of its message is kept or told', async () => {
  await using network = new TestNetwork();
  await using stack = new AsyncDisposableStack();
  const refused: string[] = [];
  const granted = new Set<PeerId>();
  const guard = authorize({
    decide: (peer, grant) =>
      grant === 'chat' && granted.has(peer) ? { allowed: true } : { allowed: false, reason: `no ${grant}` },
    onRefused: (peer, method, reason) => refused.push(`${peer.name} ${method} ${reason}`),
  });
  const [alice, bob] = [network.add('alice'), network.add('bob', { interceptors: [guard] })];
  const { chat, events, records } = await chatOf(bob, [alice], stack);
  const peer = await alice.dial(bob);
  const message = { id: randomUUID(), text: 'let me in' };
  expect(await rejection(peer.call(chatSend, message))).toMatchObject({ code: 'denied' });
  // As a publication it comes by the same door.
  peer.publish(chatSend, message);
  expect(await rejection(peer.call(chatSend, message))).toMatchObject({ code: 'denied' });
  expect(refused).toEqual(Array(3).fill('alice chat.send no chat'));
  expect([chat.list(), events, records]).toEqual([[], [], []]);
  granted.add(alice.identity.id);
  await peer.call(chatSend, message);
  expect(chat.list()).toMatchObject([{ text: 'let me in' }]);
});

test('a connected peer that does not keep a message now is tried again when it said, or 10 s later', async () => {
  await using network = new TestNetwork();
  await using stack = new AsyncDisposableStack();
  const clock = new VirtualClock();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const { chat, store } = await chatOf(alice, [bob], stack, { clock });
  const tries = [{ code: 'busy', retryAfterMs: 500 }, { code: 'unavailable' }] as const;
  let tried = 0;
  bob.router.serve(chatSend, () => {
    const failure = tries[tried];
    tried += 1;
    if (failure !== undefined) throw new SkeinError('the disk is full', failure);
    return {};
  });
  await alice.dial(bob);
  const sent = await chat.send({ peer: 'bob', text: 'hello' }, { signal: new AbortController().signal });
  expect([sent.state, tried]).toEqual(['waiting', 1]);
  await clock.advance(400);
  expect(tried).toBe(1);
  const stateAfter = async (ms: number) => {
    await clock.advance(ms);
    return [store.list()[0]?.state, tried];
  };
  await expect.poll(() => stateAfter(200), SOON).toEqual(['waiting', 2]);
  await expect.poll(() => stateAfter(10_001), SOON).toEqual(['sent', 3]);
});

test('a refusal with a whole book in it is cut, and one of half a character breaks nothing', async () => {
  await using network = new TestNetwork();
  await using stack = new AsyncDisposableStack();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const { chat } = await chatOf(alice, [bob], stack);
  bob.router.serve(chatSend, () => {
    throw new SkeinError(`${'x'.repeat(499)}\ud83d\ude00${'y'.repeat(1_000)}`, { code: 'denied' });
  });
  await alice.dial(bob);
  const { state, problem } = await chat.send({ peer: 'bob', text: 'hello' }, { signal: new AbortController().signal });
  expect([state, problem?.length]).toEqual(['refused', 500]);
});

test('a message to a VoleNet peer is noted as sent before it leaves, and waits again only when it surely did not leave', async () => {
  await using network = new TestNetwork();
  await using stack = new AsyncDisposableStack();
  const clock = new VirtualClock();
  const vole = { name: 'vole', identity: createIdentity() };
  const seen: (string | undefined)[] = [];
  const ends = ['busy', 'deadline-exceeded', 'denied'] as const;
  const voles: readonly TalkingVole[] = [
    {
      id: vole.identity.id,
      sendChat: async () => {
        const end = ends[seen.length];
        // As a crash now would leave it.
        seen.push(store.list().at(-1)?.state);
        if (end !== undefined) throw new SkeinError('no', { code: end, retryAfterMs: 100 });
      },
    },
  ];
  const { chat, store } = await chatOf(network.add('alice'), [vole], stack, { clock, voles });
  const say = (text: string) => chat.send({ peer: 'vole', text }, { signal: new AbortController().signal });
  expect((await say('one')).state).toBe('waiting');
  await clock.advance(200);
  await expect.poll(() => seen.length, SOON).toBe(2);
  expect(store.list()).toMatchObject([{ text: 'one', state: 'sent' }]);
  expect(await say('two')).toMatchObject({ state: 'refused', problem: 'no' });
  expect((await say('three')).state).toBe('sent');
  expect(seen).toEqual(['sent', 'sent', 'sent', 'sent']);
});

test.each([
  ['fits', 'x'.repeat(4_000), 'x'.repeat(4_000)],
  ['is too long', 'x'.repeat(5_000), `${'x'.repeat(3_975)} … [cut: 1025 characters]`],
  [
    'is cut within a character',
    `${'x'.repeat(3_974)}${'\u{1f600}'.repeat(1_000)}`,
    `${'x'.repeat(3_974)}\ufffd … [cut: 1999 characters]`,
  ],
  ['ends in half a character', 'x\ud83d', 'x\ufffd'],
])(
  'a message of a VoleNet peer that %s is kept well-formed and says how much of it is not there',
  async (_what, text, kept) => {
    await using network = new TestNetwork();
    await using stack = new AsyncDisposableStack();
    const vole = { name: 'vole', identity: createIdentity() };
    const { chat, events } = await chatOf(network.add('alice'), [vole], stack);
    await chat.received(vole.identity.id, text);
    expect(chat.list()).toMatchObject([{ text: kept }]);
    expect(events).toMatchObject([{ type: 'chat-message', text: kept }]);
    expect(kept.length).toBeLessThanOrEqual(4_000);
  },
);
