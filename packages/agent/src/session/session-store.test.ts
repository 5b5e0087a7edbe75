import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '@skein/engine';
import { describe, expect, test } from 'vitest';
import type { Message } from '../brain/brain.ts';
import type { SessionEntry } from './session-entry.ts';
import { sessionMigrations } from './session-migrations.ts';
import { SessionStore } from './session-store.ts';

const entry = (message: Message, tainted = false): SessionEntry => ({ message, tainted });
const user = (text: string) => entry({ role: 'user', text });
const answer = (text: string) => entry({ role: 'assistant', text, toolCalls: [] });
const callOf = (id: string) => entry({ role: 'assistant', text: '', toolCalls: [{ id, name: 'peer/tool', input: { a: 1 } }] });
const result = (callId: string, output: string) =>
  entry({ role: 'tool', callId, name: 'peer/tool', output, ok: true, untrusted: true }, true);

function createStore(limits = {}) {
  const database = openDatabase({ path: ':memory:', migrations: sessionMigrations });
  let nowMs = 1_000;
  const store = new SessionStore({ database, now: () => nowMs++, limits });
  return { store, database, [Symbol.dispose]: () => database.close() };
}

const all = { maxChars: 1e9 };

describe('a conversation', () => {
  test('is read as it was written, taint included', async () => {
    using net = createStore();
    const entries = [user('hi'), callOf('1'), result('1', 'out'), answer('done')];
    await net.store.append('s', entries.slice(0, 1));
    await net.store.append('s', entries.slice(1));
    expect(net.store.read('s', all)).toMatchObject(entries);
    expect(net.store.texts('s')).toEqual([
      { role: 'user', text: 'hi' },
      { role: 'assistant', text: 'done' },
    ]);
  });

  test('is listed by its first line, the latest first', async () => {
    using net = createStore();
    await net.store.append('a', [user('  How full is the disk?\nand more')]);
    await net.store.append('b', [user(`long ${'x'.repeat(200)}`)]);
    await net.store.append('a', [user('later')]);
    const [first, second] = net.store.list();
    expect(first).toEqual({ id: 'a', title: 'How full is the disk?', updatedAtMs: 1_002 });
    expect(second?.title).toHaveLength(80);
    expect(net.store.list({ limit: 1 })).toHaveLength(1);
  });

  test('of thousands of messages is read page by page, the newest kept', async () => {
    using net = createStore();
    await net.store.append(
      's',
      Array.from({ length: 2_000 }, (_, n) => (n % 2 === 0 ? user(`q${n}`) : answer(`a${n}`))),
    );
    const read = net.store.read('s', { maxChars: 1_000 });
    expect(read.at(-1)?.message).toMatchObject({ text: 'a1999' });
    expect(read[0]?.message.role).toBe('user');
    expect(read.length).toBeLessThan(30);
    expect(net.store.read('s', all)).toHaveLength(2_000);
  });

  test('whose last turn alone is too long keeps its question and its answer', async () => {
    using net = createStore();
    const steps = Array.from({ length: 30 }, (_, n) => [callOf(`c${n}`), result(`c${n}`, 'x'.repeat(1_000))]).flat();
    await net.store.append('s', [user('old'), answer('old'), user('why?'), ...steps, answer('because')]);
    const read = net.store.read('s', { maxChars: 1_000 }).map(({ message }) => message);
    expect(read[0]).toMatchObject({ role: 'user', text: 'why?' });
    expect(read.at(-1)).toMatchObject({ role: 'assistant', text: 'because' });
    expect(JSON.stringify(read).length).toBeLessThan(3_000);
  });

  test('is written whole or not at all', async () => {
    using net = createStore({ maxMessageChars: 100 });
    await expect(net.store.append('s', [user('ok'), user('x'.repeat(200))])).rejects.toMatchObject({ code: 'too-large' });
    expect(net.store.list()).toEqual([]);
  });

  test('is gone after it was deleted, from the search too', async () => {
    using net = createStore();
    await net.store.append('s', [user('purple elephants')]);
    await net.store.append('t', [user('purple giraffes')]);
    expect(await net.store.delete('s')).toBe(true);
    expect(await net.store.delete('s')).toBe(false);
    expect(net.store.read('s', all)).toEqual([]);
    expect(net.store.search('purple').map((hit) => hit.sessionId)).toEqual(['t']);
    await net.store.append('s', [user('green')]);
    expect(net.store.read('s', all)).toHaveLength(1);
  });

  test('beyond the bound is refused, those that exist go on', async () => {
    using net = createStore({ maxSessions: 1 });
    await net.store.append('a', [user('x')]);
    await expect(net.store.append('b', [user('x')])).rejects.toMatchObject({ code: 'busy' });
    await net.store.append('a', [user('y')]);
  });

  test.each(['', '../x', 'a b', '-x', 'x'.repeat(129), "'; DROP TABLE sessions; --", '\0'])('is not named %j', async (id) => {
    using net = createStore();
    await expect(net.store.append(id, [user('x')])).rejects.toMatchObject({ code: 'invalid' });
    expect(() => net.store.read(id, all)).toThrow(expect.objectContaining({ code: 'invalid' }));
    await expect(net.store.delete(id)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('with half of a character in it is still kept and found', async () => {
    using net = createStore();
    await net.store.append('s', [user('\ud800 broken surrogate')]);
    expect(net.store.search('surrogate')).toHaveLength(1);
    expect(net.store.read('s', all)).toHaveLength(1);
  });
});

describe('search', () => {
  test('finds words from their beginning in any conversation, with the text around', async () => {
    using net = createStore();
    await net.store.append('a', [
      user('hello'),
      answer(`${'before '.repeat(100)}the Déploiement failed ${'after '.repeat(100)}`),
    ]);
    await net.store.append('b', [user('unrelated')]);
    const [hit, ...others] = net.store.search('deploi');
    expect(others).toEqual([]);
    expect(hit).toMatchObject({ sessionId: 'a', title: 'hello', role: 'assistant' });
    expect(hit?.excerpt.length).toBeLessThanOrEqual(200);
  });

  test.each(['"', 'a" OR text:"b', 'NEAR(', '* *', 'col:x', '-', '语言'])('takes %j as words, not as a query', async (text) => {
    using net = createStore();
    await net.store.append('a', [user('b')]);
    expect(() => net.store.search(text)).not.toThrow();
  });
});

describe('damage', () => {
  test.each([
    ["UPDATE messages SET body = replace(body, 'hi', 'ho') WHERE seq = 1", 'changed text'],
    ['UPDATE messages SET tainted = 0 WHERE seq = 2', 'lost taint'],
    ['DELETE FROM messages WHERE seq = 2', 'a missing message'],
    ['DELETE FROM messages WHERE seq = 3', 'a missing last message'],
    ["UPDATE messages SET session_id = 't' WHERE seq = 2", 'a message in another conversation'],
  ])('by %s is found', async (sql) => {
    using net = createStore();
    await net.store.append('t', [user('other')]);
    await net.store.append('s', [user('hi'), entry({ role: 'user', text: 'x' }, true), answer('z')]);
    await net.database.write((writer) => writer.run(`${sql} AND session_id = 's'`));
    expect(() => net.store.read('s', all)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });
});

test('what was acknowledged is there when the file is opened again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-sessions-'));
  try {
    const options = { path: join(directory, 'skein.db'), migrations: sessionMigrations };
    {
      using database = openDatabase(options);
      await new SessionStore({ database, now: () => 1 }).append('s', [user('kept')]);
    }
    using database = openDatabase(options);
    expect(new SessionStore({ database, now: () => 1 }).texts('s')).toEqual([{ role: 'user', text: 'kept' }]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
