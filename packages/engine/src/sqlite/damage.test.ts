import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SkeinError } from '@skein/protocol';
import { measured } from '@skein/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Migration } from './migrations.ts';
import { openDatabase } from './open-database.ts';
import { integerOf, rowChecksum, textOf, verifyRow } from './rows.ts';

const ROWS = 400;
const FILES = ['', '-wal', '.mark'] as const;
const ITEMS: Migration = {
  component: 'items',
  version: 1,
  sql: 'CREATE TABLE items (id INTEGER PRIMARY KEY, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;',
};
const INSERT = 'INSERT INTO items VALUES (?, ?, ?)';

function item(id: number): [number, string, number] {
  const body = `fact ${id} `.repeat(1 + (id % 40));
  return [id, body, rowChecksum([id, body])];
}

let directory = '';
let closed = '';
let killed = '';

/** Copies of a database as it was closed in order, and as it lies there while (so, after a kill) it is open. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'skein-damage-'));
  closed = join(directory, 'closed.db');
  killed = join(directory, 'killed.db');
  const path = join(directory, 'original.db');
  const database = openDatabase({ path, migrations: [ITEMS] });
  for (let from = 1; from <= ROWS; from += 20) {
    const ids = Array.from({ length: 20 }, (_, index) => from + index);
    await Promise.all(ids.map((id) => database.write((writer) => writer.run(INSERT, ...item(id)))));
    // Half way the rows so far move from the log into the file; the rest stays in the log.
    if (from === ROWS / 2 + 1) database.get('PRAGMA wal_checkpoint(TRUNCATE)');
  }
  copy(path, killed);
  database.close();
  copy(path, closed);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function copy(from: string, to: string): void {
  for (const end of FILES) {
    rmSync(to + end, { force: true });
    if (existsSync(from + end)) copyFileSync(from + end, to + end);
  }
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** 'harmless' when every row is read as written, the error's code when it is found; anything else fails the test. */
function outcome(path: string): string {
  try {
    using database = openDatabase({ path, migrations: [ITEMS], busyTimeoutMs: 0 });
    const rows = database.all('SELECT * FROM items ORDER BY id');
    for (const row of rows) verifyRow(row, 'item', [integerOf(row, 'id'), textOf(row, 'body')]);
    const intact = rows.length === ROWS && rows.every((row, index) => row.body === item(index + 1)[1]);
    return intact ? 'harmless' : `silently other, ${rows.length} rows`;
  } catch (thrown) {
    return thrown instanceof SkeinError ? thrown.code : `not typed: ${String(thrown)}`;
  }
}

function flipBit(path: string, random: () => number): void {
  const bytes = readFileSync(path);
  const at = Math.floor(random() * bytes.length);
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
  writeFileSync(path, bytes);
}

describe.each(['closed', 'killed'])('of a %s database', (state) => {
  const original = () => (state === 'closed' ? closed : killed);

  test('undamaged copies are read whole', () => {
    const path = join(directory, 'trial.db');
    copy(original(), path);
    expect(outcome(path)).toBe('harmless');
  });

  test.each(FILES)('a flipped bit in %s is found or harmless, over and over', (end) => {
    const random = seeded(11);
    if (!existsSync(original() + end)) return expect(state + end).toBe('closed-wal');
    const seen = new Map<string, number>();
    const trials = end === '.mark' ? 50 : 200;
    for (let trial = 0; trial < trials; trial += 1) {
      const path = join(directory, 'trial.db');
      copy(original(), path);
      flipBit(path + end, random);
      const found = outcome(path);
      seen.set(found, (seen.get(found) ?? 0) + 1);
    }
    for (const found of seen.keys()) expect(['harmless', 'corrupt', 'unsupported']).toContain(found);
    if (end === '' && state === 'closed') expect(seen.get('corrupt')).toBe(trials);
    measured('disk', { counts: { corruptions: trials } });
    return undefined;
  });

  test.each(FILES)('a cut of %s is found or harmless, over and over', (end) => {
    const random = seeded(12);
    if (!existsSync(original() + end)) return expect(state + end).toBe('closed-wal');
    const trials = 60;
    for (let trial = 0; trial < trials; trial += 1) {
      const path = join(directory, 'trial.db');
      copy(original(), path);
      truncateSync(path + end, trial === 0 ? 0 : Math.floor(random() * readFileSync(path + end).length));
      expect(['harmless', 'corrupt', 'unsupported']).toContain(outcome(path));
    }
    measured('disk', { counts: { corruptions: trials } });
    return undefined;
  });

  test.each(['', '-wal'])('a missing %s is found', (end) => {
    const path = join(directory, 'trial.db');
    copy(original(), path);
    rmSync(path + end, { force: true });
    expect(outcome(path)).toBe(state === 'closed' && end === '-wal' ? 'harmless' : 'corrupt');
  });
});

test('damage of pages that nobody has read yet is found at opening', () => {
  const path = join(directory, 'trial.db');
  copy(killed, path);
  const bytes = readFileSync(path);
  bytes.fill(0x5a, bytes.length - 3 * 4_096);
  writeFileSync(path, bytes);
  // Without the log, which holds newer versions of some pages; without the mark, which would tell that it is missing.
  for (const end of ['-wal', '.mark']) rmSync(path + end);
  expect(() => openDatabase({ path, migrations: [ITEMS] })).toThrow(expect.objectContaining({ code: 'corrupt' }));
});

describe('a file that is not ours', () => {
  test.each([
    ['text', (path: string) => writeFileSync(path, 'dear diary, '.repeat(1_000))],
    ['one byte', (path: string) => writeFileSync(path, 'x')],
    ['the database of another program', (path: string) => new DatabaseSync(path).exec('CREATE TABLE notes (x)')],
  ])('(%s) is refused by name and left as it is', (_, make) => {
    const path = join(directory, 'foreign.db');
    rmSync(path, { force: true });
    make(path);
    const before = readFileSync(path);
    expect(() => openDatabase({ path, migrations: [ITEMS] })).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(path) }),
    );
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test('nor is a directory that does not exist made up', () => {
    expect(() => openDatabase({ path: join(directory, 'no', 'where.db'), migrations: [] })).toThrow(
      expect.objectContaining({ code: 'unavailable' }),
    );
  });
});

test('a file left empty by a process that ended while creating it is taken as new', () => {
  const path = join(directory, 'begun.db');
  writeFileSync(path, '');
  using database = openDatabase({ path, migrations: [ITEMS] });
  expect(database.all('SELECT * FROM items')).toEqual([]);
});

test('a file that a power cut left unreadable while it was created is emptied by its journal and taken as new', () => {
  const path = join(directory, 'cut.db');
  writeFileSync(path, Buffer.alloc(2 * 4_096));
  // The header of a rollback journal (https://www.sqlite.org/fileformat.html#the_rollback_journal): no pages, none before.
  const journal = Buffer.alloc(512);
  journal.write('d9d505f920a163d7', 'hex');
  journal.writeUInt32BE(512, 20);
  journal.writeUInt32BE(4_096, 24);
  writeFileSync(`${path}-journal`, journal);
  using database = openDatabase({ path, migrations: [ITEMS] });
  expect(database.all('SELECT * FROM items')).toEqual([]);
});

test('a file of another program is left alone, whatever journal stands beside it', () => {
  const path = join(directory, 'foreign-with-journal.db');
  writeFileSync(path, 'dear diary, '.repeat(1_000));
  writeFileSync(`${path}-journal`, 'not a journal');
  expect(() => openDatabase({ path, migrations: [ITEMS] })).toThrow(expect.objectContaining({ code: 'corrupt' }));
  expect(readFileSync(path, 'utf8')).toBe('dear diary, '.repeat(1_000));
});
