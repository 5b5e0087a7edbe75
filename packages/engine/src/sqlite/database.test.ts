import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Migration } from './migrations.ts';
import { openDatabase } from './open-database.ts';
import { rowChecksum, verifyRow } from './rows.ts';

const ITEMS: Migration = {
  component: 'items',
  version: 1,
  sql: 'CREATE TABLE items (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;',
};

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skein-engine-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (migrations: readonly Migration[] = [ITEMS]) => openDatabase({ path: join(directory, 'a.db'), migrations });
const bodies = (database: ReturnType<typeof open>) => database.all('SELECT body FROM items ORDER BY id').map((row) => row.body);
const insert = (database: ReturnType<typeof open>, body: string) =>
  database.write((writer) => writer.run('INSERT INTO items (body) VALUES (?)', body));

describe('a write', () => {
  test('is there after closing and opening again', async () => {
    {
      using database = open();
      await insert(database, 'one');
    }
    using again = open();
    expect(bodies(again)).toEqual(['one']);
  });

  test('waits for the disk: the log is synced with every commit', () => {
    using database = open();
    expect(database.get('PRAGMA journal_mode')?.journal_mode).toBe('wal');
    expect(database.get('PRAGMA synchronous')?.synchronous).toBe(2);
    expect(database.get('PRAGMA foreign_keys')?.foreign_keys).toBe(1);
  });

  test('shares one commit with those that wait at the same time', async () => {
    using database = open();
    await Promise.all(Array.from({ length: 100 }, (_, index) => insert(database, `item ${index}`)));
    expect(database.get('SELECT commits FROM skein_commits')?.commits).toBe(1);
    expect(bodies(database)).toHaveLength(100);
  });

  test('that fails changes nothing and fails alone', async () => {
    using database = open();
    const outcomes = await Promise.allSettled([
      insert(database, 'first'),
      database.write((writer) => {
        writer.run('INSERT INTO items (body) VALUES (?)', 'half done');
        throw new Error('no');
      }),
      insert(database, 'first'),
      insert(database, 'last'),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(bodies(database)).toEqual(['first', 'last']);
  });

  test('resolves with what its function returned', async () => {
    using database = open();
    await expect(database.write((writer) => writer.run("INSERT INTO items (body) VALUES ('x'), ('y')"))).resolves.toBe(2);
  });

  test('whose function is async is refused, and its part undone', async () => {
    using database = open();
    const write = database.write(async (writer) => writer.run("INSERT INTO items (body) VALUES ('x')"));
    await expect(write).rejects.toMatchObject({ code: 'internal' });
    expect(bodies(database)).toEqual([]);
  });

  test('beyond the bound of waiting ones is refused as busy', async () => {
    using database = openDatabase({ path: join(directory, 'a.db'), migrations: [ITEMS], maxPendingWrites: 2 });
    const outcomes = await Promise.allSettled([insert(database, 'a'), insert(database, 'b'), insert(database, 'c')]);
    expect(outcomes[2]).toMatchObject({ status: 'rejected', reason: { code: 'busy' } });
    expect(bodies(database)).toEqual(['a', 'b']);
  });

  test('still waiting when the database is closed is committed first', async () => {
    const database = open();
    const waiting = insert(database, 'late');
    database.close();
    await waiting;
    using again = open();
    expect(bodies(again)).toEqual(['late']);
  });
});

test('closing twice does nothing more, and a closed database says so', async () => {
  const database = open();
  database.close();
  await database[Symbol.asyncDispose]();
  expect(() => bodies(database)).toThrow(/is closed/);
  await expect(insert(database, 'x')).rejects.toMatchObject({ code: 'unavailable' });
});

test.skipIf(process.platform === 'win32')('its files are for their owner alone', async () => {
  using database = open();
  await insert(database, 'secret');
  for (const end of ['', '-wal', '.mark']) expect(statSync(`${database.path}${end}`).mode & 0o777).toBe(0o600);
});

test('a second opener is told that the file is in use', () => {
  using _first = open();
  expect(() => openDatabase({ path: join(directory, 'a.db'), migrations: [], busyTimeoutMs: 10 })).toThrow(
    expect.objectContaining({ code: 'busy' }),
  );
});

test('a value that cannot be bound does not hold up the next write', async () => {
  using database = open();
  await expect(insert(database, 'fine')).resolves.toBe(1);
  await expect(
    database.write((writer) => writer.run('INSERT INTO items (id, body) VALUES (?, ?)', 1, 'taken')),
  ).rejects.toThrow();
  await expect(insert(database, 'fine too')).resolves.toBe(1);
});

describe('migrations', () => {
  const second: Migration = { component: 'items', version: 2, sql: "ALTER TABLE items ADD COLUMN more TEXT DEFAULT 'm'" };

  test('are applied once each, and later ones to what is there', async () => {
    {
      using database = open();
      await insert(database, 'old');
    }
    using database = open([ITEMS, second]);
    expect(database.get('SELECT body, more FROM items')).toEqual({ body: 'old', more: 'm' });
  });

  test('of a newer build are not understood, and the file is left alone', () => {
    open([ITEMS, second]).close();
    expect(() => open()).toThrow(expect.objectContaining({ code: 'unsupported' }));
    expect(() => open([ITEMS, second]).close()).not.toThrow();
  });

  test('that fail leave the file as it was', () => {
    open().close();
    const broken: Migration = { component: 'items', version: 2, sql: 'CREATE TABLE more (x); CREATE TABLE items (y);' };
    expect(() => open([ITEMS, broken])).toThrow();
    using database = open();
    expect(database.all("SELECT 1 FROM sqlite_schema WHERE name = 'more'")).toEqual([]);
  });
});

test('a row verifies as it is read, also when a text of it is half of a surrogate pair', async () => {
  using database = open();
  const body = 'half a pair: \ud83d';
  await insert(database, body);
  const [row] = database.all('SELECT * FROM items');
  expect(() => verifyRow({ sum: rowChecksum([body]) }, 'row', [row?.body ?? null])).not.toThrow();
});

test('a row whose stored bytes changed does not verify', () => {
  const sum = rowChecksum(['a', 1, null]);
  expect(() => verifyRow({ sum }, 'row', ['a', 1, null])).not.toThrow();
  expect(() => verifyRow({ sum }, 'row', ['a', 1, ''])).toThrow(expect.objectContaining({ code: 'corrupt' }));
});
