import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { noMoreFiles, rejection, temporaryFolder } from '../../../test/tool-fixture.ts';
import { findMemoryLimiter } from '../memory-limit.ts';
import type { Parameter } from './database.ts';
import { SqliteDatabase } from './sqlite-database.ts';

const FOREVER = 'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)';

async function shop(write = false) {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'shop.db');
  const made = new DatabaseSync(file);
  made.exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, price REAL);
    INSERT INTO orders VALUES (1, 'tea', 2.5), (2, 'jam', 4), (3, 'rye', NULL);
    CREATE INDEX by_item ON orders (item);
    CREATE VIEW cheap AS SELECT item FROM orders WHERE price < 3`);
  made.close();
  const database = new SqliteDatabase({ name: 'shop', file, write });
  const query = (
    sql: string,
    options: { params?: Parameter[]; maxRows?: number; maxBytes?: number; signal?: AbortSignal } = {},
  ) =>
    database.query(
      { sql, params: options.params ?? [], maxRows: options.maxRows ?? 100, maxBytes: options.maxBytes ?? 10_000 },
      options.signal ?? new AbortController().signal,
    );
  return {
    folder: folder.path,
    file,
    database,
    query,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

describe('a statement', () => {
  test('gives its rows by column, with bound values', async () => {
    await using db = await shop();
    expect(await db.query('SELECT item, price FROM orders WHERE price > ? AND item <> ?', { params: [1, 'jam'] })).toEqual({
      columns: ['item', 'price'],
      rows: [{ item: 'tea', price: 2.5 }],
      cut: null,
      changed: null,
    });
  });

  test('takes a bound value as a value, whatever it says', async () => {
    await using db = await shop();
    const params = ["' OR 1=1; DROP TABLE orders --"];
    expect((await db.query('SELECT * FROM orders WHERE item = ?', { params })).rows).toEqual([]);
    expect((await db.query('SELECT count(*) AS n FROM orders')).rows).toEqual([{ n: 3 }]);
  });

  test('says what JSON cannot: large numbers, bytes, two columns of one name', async () => {
    await using db = await shop();
    const { rows } = await db.query(
      "SELECT 9007199254740993 AS big, x'0102' AS bytes, 1 AS a, 2 AS a, 1e999 AS e, 7 AS __proto__",
    );
    expect(JSON.stringify(rows)).toBe(
      '[{"big":"9007199254740993","bytes":"[2 bytes]","a":1,"a_2":2,"e":"Infinity","__proto__":7}]',
    );
  });

  test.each([
    [{ maxRows: 2 }, /more rows than the 2/],
    [{ maxBytes: 1_024 }, /more than the 1024 bytes/],
  ])('is cut at %j, and says so', async (bounds, said) => {
    await using db = await shop();
    const { rows, cut } = await db.query(`${FOREVER} SELECT x, 'abcdefghij' AS text FROM n`, bounds);
    expect(rows.length).toBeGreaterThan(1);
    expect(JSON.stringify(rows).length).toBeLessThanOrEqual(1_100);
    expect(cut).toMatch(said);
  });

  test('has long values cut', async () => {
    await using db = await shop();
    const { rows, cut } = await db.query("SELECT printf('%.*c', 50000, 'x') AS text", { maxBytes: 100_000 });
    expect(String(rows[0]?.text)).toMatch(/^x{16384}… \[50000 characters\]$/);
    expect(cut).toMatch(/longer than 16384/);
  });

  test('lists tables, views and columns', async () => {
    await using db = await shop();
    const { rows } = await db.query(db.database.schemaSql, { params: [''] });
    expect(rows.map((row) => [row.table, row.kind, row.column, row.type, row.required, row.key])).toEqual([
      ['cheap', 'view', 'item', 'TEXT', 0, 0],
      ['orders', 'table', 'id', 'INTEGER', 0, 1],
      ['orders', 'table', 'item', 'TEXT', 1, 0],
      ['orders', 'table', 'price', 'REAL', 0, 0],
    ]);
    expect((await db.query(db.database.schemaSql, { params: ['ORDERS'] })).rows).toHaveLength(3);
  });
});

const WRITES = [
  "INSERT INTO orders VALUES (9, 'x', 1)",
  "UPDATE orders SET item = 'x'",
  'DELETE FROM orders',
  'DROP TABLE orders',
  'CREATE TABLE t (a)',
  'CREATE VIEW w AS SELECT 1',
  'ALTER TABLE orders ADD COLUMN x',
  'REINDEX',
  'ANALYZE',
  "INSERT INTO orders VALUES (9, 'x', 1) RETURNING id",
];

/** What no statement may do, though the database may be changed: reach other files, code, or a later statement. */
const ESCAPES = [
  "ATTACH DATABASE 'OTHER' AS other",
  "ATTACH 'file:OTHER?mode=rwc' AS other",
  "VACUUM INTO 'OTHER'",
  'VACUUM',
  'DETACH main',
  'PRAGMA query_only = OFF',
  'PRAGMA writable_schema = ON',
  'PRAGMA journal_mode = WAL',
  "PRAGMA temp_store_directory = '/tmp'",
  'PRAGMA user_version = 7',
  'SELECT * FROM pragma_user_version(7)',
  "SELECT load_extension('OTHER')",
  "SELECT writefile('OTHER', 'x')",
  "SELECT readfile('/etc/passwd')",
  "SELECT fts3_tokenizer('simple', x'00')",
  'CREATE VIRTUAL TABLE t USING fts5 (a)',
  "CREATE VIRTUAL TABLE temp.t USING csv (filename = '/etc/passwd')",
  'CREATE TEMP TABLE t (a)',
  "UPDATE sqlite_schema SET sql = 'x'",
  'BEGIN',
  'COMMIT',
  'SAVEPOINT s',
  'SELECT 1; DELETE FROM orders',
  'SELECT 1; ; /* x */ DELETE FROM orders',
];

describe('a database that may only be read', () => {
  test.each([...WRITES, ...ESCAPES])('refuses %s', async (sql) => {
    await using db = await shop();
    const before = await readFile(db.file);
    const refused = await rejection(db.query(sql.replaceAll('OTHER', join(db.folder, 'other.db'))));
    expect(['denied', 'invalid']).toContain(refused.code);
    expect(before.equals(await readFile(db.file))).toBe(true);
    expect(await readdir(db.folder)).toEqual(['shop.db']);
  });
});

describe('a database that may be changed', () => {
  test('is', async () => {
    await using db = await shop(true);
    expect(await db.query('UPDATE orders SET price = ? WHERE id > 1', { params: [1] })).toMatchObject({ changed: 2, rows: [] });
    expect((await db.query("INSERT INTO orders (item) VALUES ('oat') RETURNING id")).rows).toEqual([{ id: 4 }]);
    for (const sql of WRITES.filter((one) => !one.startsWith('INSERT') && !one.startsWith('DROP'))) await db.query(sql);
  });

  test.each(ESCAPES)('refuses %s all the same', async (sql) => {
    await using db = await shop(true);
    const refused = await rejection(db.query(sql.replaceAll('OTHER', join(db.folder, 'other.db'))));
    expect(['denied', 'invalid']).toContain(refused.code);
    expect((await db.query('SELECT count(*) AS n FROM orders')).rows).toEqual([{ n: 3 }]);
    expect(existsSync(join(db.folder, 'other.db'))).toBe(false);
  });

  test('is not made where there is none', async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, 'none.db');
    await using database = new SqliteDatabase({ name: 'none', file, write: true });
    const refused = await rejection(
      database.query({ sql: 'SELECT 1', params: [], maxRows: 1, maxBytes: 1_024 }, AbortSignal.timeout(9_000)),
    );
    expect(refused.code).toBe('not-found');
    expect(existsSync(file)).toBe(false);
  });
});

describe('a statement without end', () => {
  test('is stopped with its process, holds up nothing, and leaves the database usable', async () => {
    await using db = await shop();
    await db.query('SELECT 1');
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const startedAt = performance.now();
    const stopped = await rejection(db.query(`${FOREVER} SELECT count(*) FROM n`, { signal: AbortSignal.timeout(300) }));
    delay.disable();
    expect(stopped.code).toBe('deadline-exceeded');
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    expect(delay.percentile(99) / 1e6).toBeLessThan(200);
    expect((await db.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('is stopped when its caller stops', async () => {
    await using db = await shop();
    const caller = new AbortController();
    const running = rejection(db.query(`${FOREVER} SELECT count(*) FROM n`, { signal: caller.signal }));
    await db.query('SELECT 1', { signal: AbortSignal.timeout(200) }).catch(() => undefined); // Waits its turn in vain.
    caller.abort();
    expect((await running).code).toBe('canceled');
  });

  test('that gathers memory is stopped at its bound', async () => {
    await using db = await shop();
    const signal = AbortSignal.timeout(25_000);
    const refused = await rejection(db.query(`${FOREVER} SELECT x, randomblob(1000000) AS b FROM n ORDER BY b`, { signal }));
    expect(refused.code).toBe('too-large');
    expect((await db.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('makes the others wait only so many', async () => {
    await using db = await shop();
    const caller = new AbortController();
    const waiting = Array.from({ length: 40 }, () =>
      rejection(db.query(`${FOREVER} SELECT count(*) FROM n`, { signal: caller.signal })),
    );
    expect((await Promise.race(waiting)).code).toBe('busy');
    caller.abort();
    const codes = (await Promise.all(waiting)).map(({ code }) => code);
    expect(codes.filter((code) => code === 'busy').length).toBe(40 - 33);
  });
});

test('a file that is no database is named corrupt', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'noise.db');
  await writeFile(file, 'no database '.repeat(1_000));
  await using database = new SqliteDatabase({ name: 'noise', file, write: false });
  const refused = await rejection(
    database.query({ sql: 'SELECT * FROM t', params: [], maxRows: 1, maxBytes: 1_024 }, AbortSignal.timeout(9_000)),
  );
  expect(refused.code).toBe('corrupt');
});

test.skipIf((await findMemoryLimiter()) === undefined)('a process that cannot be started is tried again', async () => {
  await using db = await shop();
  {
    await using _ = await noMoreFiles();
    expect((await rejection(db.query('SELECT 1 AS a'))).code).toBe('unavailable');
  }
  expect((await db.query('SELECT 1 AS a')).rows).toEqual([{ a: 1 }]);
});

test('disposing of it before its process has started ends what waits', async () => {
  await using db = await shop();
  const first = rejection(db.query(`${FOREVER} SELECT count(*) FROM n`));
  await db.database[Symbol.asyncDispose]();
  expect((await first).code).toBe('unavailable');
});

test('disposing of it ends its process and what runs there', async () => {
  await using db = await shop();
  await db.query('SELECT 1');
  const running = rejection(db.query(`${FOREVER} SELECT count(*) FROM n`));
  await db.query('SELECT 1', { signal: AbortSignal.timeout(100) }).catch(() => undefined);
  await db.database[Symbol.asyncDispose]();
  expect((await running).code).toBe('unavailable');
  expect((await rejection(db.query('SELECT 1'))).code).toBe('unavailable');
});
