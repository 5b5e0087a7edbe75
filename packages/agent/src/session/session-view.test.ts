import { openDatabase } from '@skein/engine';
import { createIdentity, hybridTime } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { bring, createTestLogs, everybody, migrations, operationsIn, sign, type TestLogs } from '../../test/test-logs.ts';
import type { Message } from '../brain/brain.ts';
import { OperationLog } from '../sync/operation-log.ts';
import type { SessionEntry } from './session-entry.ts';
import { SessionStore } from './session-store.ts';

const entry = (message: Message, tainted = false): SessionEntry => ({ message, tainted });
const user = (text: string) => entry({ role: 'user', text });
const answer = (text: string) => entry({ role: 'assistant', text, toolCalls: [] });
const all = { maxChars: 1e9 };

const said = ({ sessions }: TestLogs, id = 's') =>
  sessions.read(id, all).map(({ message }) => (message.role === 'tool' ? String(message.output) : message.text));

async function bothWays(one: TestLogs, other: TestLogs): Promise<void> {
  await bring(one.sessionLog, other.sessionLog);
  await bring(other.sessionLog, one.sessionLog);
}

describe('a conversation held on two nodes', () => {
  test('while they were apart, is one on both: turns whole, in the order in which they began', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    b.clock.nowMs = a.clock.nowMs + 10;
    await a.sessions.append('s', [user('a1')]);
    await b.sessions.append('s', [user('b1')]);
    b.clock.nowMs += 100;
    a.clock.nowMs += 200;
    await b.sessions.append('s', [answer('to b1')]);
    await a.sessions.append('s', [answer('to a1'), answer('more to a1')]);
    await b.sessions.append('s', [user('b2'), answer('to b2')]);
    await bothWays(a, b);
    expect(said(a)).toEqual(['a1', 'to a1', 'more to a1', 'b1', 'to b1', 'b2', 'to b2']);
    expect(said(b)).toEqual(said(a));
    expect(a.sessions.list()).toMatchObject([{ id: 's', title: 'a1' }]);
    expect(b.sessions.list()).toMatchObject([{ id: 's', title: 'a1', author: a.id }]);
  });

  test('goes on from what the other said', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    b.clock.nowMs -= 3_000;
    await a.sessions.append('s', [user('one'), answer('two')]);
    await bothWays(a, b);
    await b.sessions.append('s', [user('three'), answer('four')]);
    await bothWays(a, b);
    expect(said(a)).toEqual(['one', 'two', 'three', 'four']);
    expect(said(b)).toEqual(said(a));
    expect(b.sessions.search('two')).toMatchObject([{ sessionId: 's' }]);
  });

  test('takes a late entry in where it belongs', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    using c = createTestLogs();
    await a.sessions.append('s', [user('first')]);
    a.clock.nowMs += 1_000;
    c.clock.nowMs += 500;
    await c.sessions.append('s', [user('between'), answer('in its own turn')]);
    await a.sessions.append('s', [answer('to the first'), user('last')]);
    await bring(a.sessionLog, b.sessionLog);
    await bring(c.sessionLog, b.sessionLog);
    expect(said(b)).toEqual(['first', 'to the first', 'between', 'in its own turn', 'last']);
    expect(b.sessions.read('s', { maxChars: 40 }).map(({ message }) => message)).toMatchObject([{ text: 'last' }]);
  });

  test('that is deleted on one, is on the other, bodies and all; what begins later stays', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    using late = createTestLogs();
    await a.sessions.append('s', [user('purple elephants'), answer('grey ones')]);
    await bothWays(a, b);
    await b.sessions.append('s', [user('purple giraffes')]);
    expect(await b.sessions.delete('s')).toBe(true);
    await b.sessions.append('s', [user('green')]);
    await bothWays(a, b);
    await bring(b.sessionLog, late.sessionLog);
    for (const node of [a, b, late]) {
      expect(said(node)).toEqual(['green']);
      expect(node.sessions.search('purple')).toEqual([]);
      const kept = ['messages', 'operations'].map((table) => node.database.all(`SELECT * FROM ${table}`));
      expect(JSON.stringify(kept)).not.toMatch(/purple|grey/);
    }
    expect(await a.sessions.delete('s')).toBe(true);
    expect(await a.sessions.delete('s')).toBe(false);
    expect(a.sessions.list()).toEqual([]);
  });

  test('takes nothing in that was said before it was deleted and comes after', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    await a.sessions.append('s', [user('old')]);
    const old = operationsIn(a.sessionLog);
    await bothWays(a, b);
    await b.sessions.delete('s');
    using c = createTestLogs();
    await bring(b.sessionLog, c.sessionLog);
    await c.sessionLog.accept(old, everybody);
    expect(c.sessions.list()).toEqual([]);
    expect(JSON.stringify(operationsIn(c.sessionLog))).not.toContain('old');
  });
});

describe('what comes from elsewhere', () => {
  test('is marked with its author, tainted whatever it says of itself, its tools’ output untrusted', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    const call = { role: 'assistant', text: '', toolCalls: [{ id: '1', name: 'x', input: {} }] } as const;
    const result = { role: 'tool', callId: '1', name: 'x', output: 'out', ok: true } as const;
    await a.sessions.append('s', [
      user('do it'),
      entry({ ...call, toolCalls: [...call.toolCalls] }),
      entry(result),
      answer('done'),
    ]);
    await bring(a.sessionLog, b.sessionLog);
    const read = b.sessions.read('s', all);
    expect(read.map(({ tainted }) => tainted)).toEqual([true, true, true, true]);
    expect(read[2]?.message).toMatchObject({ role: 'tool', untrusted: true });
    for (const one of read) expect(one).toMatchObject({ author: a.id });
    expect(a.sessions.read('s', all).map(({ tainted }) => tainted)).toEqual([false, false, false, false]);
    expect(b.sessions.list()).toMatchObject([{ author: a.id }]);
    expect(a.sessions.list()[0]).not.toHaveProperty('author');
  });

  test('cannot claim a turn after itself, nor come before what was deleted', async () => {
    using b = createTestLogs();
    const author = createIdentity();
    await b.sessions.append('s', [user('mine')]);
    const time = hybridTime(b.clock.nowMs, 0);
    const body = JSON.stringify({
      type: 'entry',
      session: 's',
      turn: 'f'.repeat(16),
      message: { role: 'user', text: 'last for ever' },
      tainted: false,
    });
    await b.sessionLog.accept([sign(author, { log: 'sessions', time, body }).wire], everybody);
    await b.sessions.append('s', [user('later')]);
    expect(said(b)).toEqual(['mine', 'last for ever', 'later']);
  });

  test.each([
    { type: 'entry', session: '../x', message: { role: 'user', text: 'x' }, tainted: false },
    { type: 'entry', session: 's', message: { role: 'system', text: 'x' }, tainted: false },
    { type: 'entry', session: 's', message: { role: 'user', text: 1 }, tainted: false },
    { type: 'entry', session: 's', turn: 'now', message: { role: 'user', text: 'x' }, tainted: false },
    { type: 'delete' },
  ])('and is not what it should be, has no effect: %j', async (body) => {
    using b = createTestLogs();
    await b.sessions.append('s', [user('mine')]);
    const time = hybridTime(b.clock.nowMs, 0);
    const { wire } = sign(createIdentity(), { log: 'sessions', time, body: JSON.stringify(body) });
    expect(await b.sessionLog.accept([wire], everybody)).toMatchObject({ added: 1 });
    expect(said(b)).toEqual(['mine']);
  });

  test('cannot fill the list of conversations so that no own one can begin', async () => {
    using database = openDatabase({ path: ':memory:', migrations });
    let nowMs = 1_700_000_000_000;
    const now = () => nowMs++;
    const log = new OperationLog({
      database,
      log: 'sessions',
      identity: createIdentity(),
      now,
      randomReplica: () => '0'.repeat(16),
    });
    const sessions = new SessionStore({ database, now, log, limits: { maxSessions: 5 } });
    using loud = createTestLogs();
    for (let n = 0; n < 6; n += 1) await loud.sessions.append(`loud${n}`, [user('x')]);
    const { refused } = await log.accept(operationsIn(loud.sessionLog), everybody);
    expect(refused[0]).toMatchObject({ code: 'busy', passing: true });
    await sessions.append('own', [user('y')]);
    expect(sessions.list().map(({ id }) => id)).toContain('own');
    expect(sessions.list()).toHaveLength(5);
  });
});

test('a message too long to be shared is kept whole here and goes out shortened', async () => {
  using a = createTestLogs();
  using b = createTestLogs();
  const output = '"'.repeat(450_000);
  const call: Message = { role: 'assistant', text: '', toolCalls: [{ id: '1', name: 'x', input: {} }] };
  await a.sessions.append('s', [user('go'), entry(call), entry({ role: 'tool', callId: '1', name: 'x', output, ok: true })]);
  await a.sessions.append('s', [answer('é'.repeat(300_000))]);
  await bring(a.sessionLog, b.sessionLog);
  expect(a.sessions.read('s', all)[2]?.message).toMatchObject({ output });
  expect(said(b)[2]).toBe('[left out: too long to share]');
  expect(said(b)[3]).toHaveLength(20_000);
});

test('an answer of a node that has another key by then stands behind its question, whichever key is first', async () => {
  const keys = [createIdentity(), createIdentity()].sort((one, other) => (one.id < other.id ? -1 : 1));
  for (const [before, after] of [keys, keys.toReversed()]) {
    if (before === undefined || after === undefined) continue;
    using database = openDatabase({ path: ':memory:', migrations });
    const sessionsOf = (identity: typeof before, replica: string) => {
      const now = () => 5_000;
      const log = new OperationLog({ database, log: 'sessions', identity, now, randomReplica: () => replica });
      return new SessionStore({ database, now, log });
    };
    await sessionsOf(before, 'a'.repeat(16)).append('s', [user('asked')]);
    const sessions = sessionsOf(after, 'b'.repeat(16));
    await sessions.append('s', [answer('answered'), answer('and more')]);
    expect(sessions.texts('s').map(({ text }) => text)).toEqual(['asked', 'answered', 'and more']);
  }
});

test('what was said before there was a log is signed, in its order, and goes to peers', async () => {
  using before = createTestLogs();
  const old = new SessionStore({ database: before.database, now: () => 5_000 });
  await old.append('s', [user('one'), answer('two')]);
  await old.append('t', [user('other')]);
  await old.append('s', [user('three')]);
  expect(before.sessions.list()).toHaveLength(2);
  expect(await before.sessions.adopt()).toBe(4);
  expect(await before.sessions.adopt()).toBe(0);
  await before.sessions.append('s', [answer('four')]);
  using peer = createTestLogs();
  await bring(before.sessionLog, peer.sessionLog);
  expect(said(peer)).toEqual(['one', 'two', 'three', 'four']);
  expect(said(before)).toEqual(said(peer));
  expect(
    peer.sessions
      .list()
      .map(({ title }) => title)
      .sort(),
  ).toEqual(['one', 'other']);
});

describe('damage to a merged conversation', () => {
  test.each([
    ['UPDATE messages SET place = substr(place, 2)', 'a moved message'],
    ['UPDATE messages SET author = NULL', 'a lost author'],
    ['UPDATE messages SET tainted = 0', 'a lost taint'],
    ['DELETE FROM messages', 'a missing message'],
  ])('by %s is found', async (sql) => {
    using a = createTestLogs();
    using b = createTestLogs();
    await a.sessions.append('s', [user('one'), answer('two')]);
    await b.sessions.append('s', [user('three')]);
    await bothWays(a, b);
    await b.database.write((writer) => writer.run(`${sql} WHERE author IS NOT NULL AND seq = 2`));
    expect(() => b.sessions.read('s', all)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });
});
