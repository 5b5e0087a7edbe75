import { randomUUID } from 'node:crypto';
import { type Database, openDatabase } from '@skein/engine';
import { createIdentity } from '@skein/protocol';
import { expect, test } from 'vitest';
import { chatMigrations } from './chat-migrations.ts';
import { type ChatRetention, ChatStore } from './chat-store.ts';

const DAY_MS = 86_400_000;
const peer = createIdentity().id;
const other = createIdentity().id;

function open(): Database {
  return openDatabase({ path: ':memory:', migrations: chatMigrations });
}

/** A store whose time is the test's. */
function storeIn(database: Database, retention: Partial<ChatRetention> = {}) {
  const time = { nowMs: 1_000 * DAY_MS };
  const store = new ChatStore({
    database,
    now: () => time.nowMs,
    retention: { maxMessages: 1_000, maxAgeDays: 90, ...retention },
  });
  return { time, store, say: (text: string, to = peer) => store.enqueue({ peer: to, id: randomUUID(), text }) };
}

test('a message that comes twice is kept once; another text under its id is refused and changes nothing', async () => {
  using database = open();
  const { store } = storeIn(database);
  const message = { peer, id: randomUUID(), text: 'hello' };
  expect(await store.receive(message)).toBe(true);
  expect(await store.receive(message)).toBe(false);
  await expect(store.receive({ ...message, text: 'good-bye' })).rejects.toMatchObject({ code: 'conflict' });
  // The same id of another peer is another message.
  expect(await store.receive({ ...message, peer: other, text: 'good-bye' })).toBe(true);
  expect(store.list(peer)).toMatchObject([{ text: 'hello', direction: 'in', state: 'received' }]);
  expect(store.list()).toHaveLength(2);
});

test('any text comes back as it was, half characters and zeros too', async () => {
  using database = open();
  const { store } = storeIn(database);
  const text = 'a\ud800\0b\n\u001b[2J';
  const message = { peer, id: randomUUID(), text };
  await store.receive(message);
  expect(await store.receive(message)).toBe(false);
  expect(store.list()[0]?.text).toBe(text);
});

test('of each peer by itself the latest are kept, and what waits stays however much comes', async () => {
  using database = open();
  const { store, say } = storeIn(database, { maxMessages: 3 });
  await say('waits');
  await say('elsewhere', other);
  for (const text of ['1', '2', '3', '4', '5']) await store.receive({ peer, id: randomUUID(), text });
  expect(store.list(peer).map(({ text }) => text)).toEqual(['waits', '3', '4', '5']);
  expect(store.list(other)).toHaveLength(1);
});

test('what is too old is neither shown nor sent any more, and goes from the disk', async () => {
  using database = open();
  const { store, say, time } = storeIn(database, { maxAgeDays: 2 });
  await say('old');
  time.nowMs += DAY_MS;
  await say('young');
  time.nowMs += 1.5 * DAY_MS;
  expect(store.list().map(({ text }) => text)).toEqual(['young']);
  expect(store.next(peer)?.text).toBe('young');
  await store.prune();
  expect(database.all('SELECT * FROM peer_messages')).toHaveLength(1);
});

test('one message too many for a peer that is away is refused with busy, and others are written to all the same', async () => {
  using database = open();
  const { store, say } = storeIn(database);
  await Promise.all(Array.from({ length: 100 }, (_, n) => say(`message ${n}`)));
  await expect(say('one more')).rejects.toMatchObject({ code: 'busy' });
  await say('hello', other);
  await store.settle(store.next(peer)?.num ?? 0, 'sent');
  await say('one more');
  expect(store.list(peer)).toHaveLength(101);
});

test('what waits is handed out in the order it was written, and each has one end', async () => {
  using database = open();
  const { store, say } = storeIn(database);
  const [first, second] = [await say('first'), await say('second')];
  expect(store.next(peer)?.num).toBe(first.num);
  await store.settle(first.num, 'refused', 'no');
  expect(store.get(first.num)).toMatchObject({ state: 'refused', problem: 'no' });
  expect(store.next(peer)?.num).toBe(second.num);
  expect(store.waitingPeers()).toEqual([peer]);
  await store.settle(second.num, 'sent');
  expect(store.next(peer)).toBeUndefined();
  expect(store.waitingPeers()).toEqual([]);
});

test('a message that came is not turned into one that was sent, whatever its number', async () => {
  using database = open();
  const { store } = storeIn(database);
  await store.receive({ peer, id: randomUUID(), text: 'hello' });
  const [came] = store.list();
  await store.settle(came?.num ?? 0, 'waiting');
  expect(store.list()[0]?.state).toBe('received');
  expect(store.next(peer)).toBeUndefined();
});

test('messages go over to the key that took the place of another', async () => {
  using database = open();
  const { store, say } = storeIn(database);
  await say('hello');
  await store.move(peer, other);
  expect(store.next(peer)).toBeUndefined();
  expect(store.next(other)?.text).toBe('hello');
});

test('a text that decayed on the disk is not shown as what somebody said', async () => {
  using database = open();
  const { store, say } = storeIn(database);
  await say('yes');
  await database.write((writer) => writer.run('UPDATE peer_messages SET body = ?', '"no"'));
  expect(() => store.list()).toThrowError(expect.objectContaining({ code: 'corrupt' }));
});
