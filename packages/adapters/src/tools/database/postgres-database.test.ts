import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noPostgres, type PostgresServer, startPostgres } from '../../../test/postgres-server.ts';
import { rejection } from '../../../test/tool-fixture.ts';
import type { Parameter } from './database.ts';
import { parsePostgresAddress } from './postgres-address.ts';
import { PostgresDatabase } from './postgres-database.ts';

const never = new AbortController().signal;

function open(url: string, options: { password?: string; write?: boolean; timeoutMs?: number } = {}) {
  const { password, write = false, timeoutMs = 10_000 } = options;
  return new PostgresDatabase({ name: 'shop', address: parsePostgresAddress(url), password, write, timeoutMs });
}

describe.skipIf(noPostgres !== undefined)(
  `a PostgreSQL database${noPostgres === undefined ? '' : ` (left out: ${noPostgres})`}`,
  () => {
    // One server for all: it takes seconds to make, and each test uses tables of its own.
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres();
      await query('CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, price numeric, at timestamptz)', {
        write: true,
      });
      await query("INSERT INTO orders VALUES (1, 'tea', 2.5, '2024-05-06 07:08:09Z'), (2, 'jam', 4, NULL)", { write: true });
    }, 60_000);
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
    });

    interface Options {
      readonly params?: readonly Parameter[];
      readonly write?: boolean;
      readonly maxRows?: number;
      readonly maxBytes?: number;
      readonly signal?: AbortSignal;
      readonly timeoutMs?: number;
    }
    async function query(sql: string, options: Options = {}) {
      const { params = [], write = false, maxRows = 100, maxBytes = 10_000, signal = never, timeoutMs = 10_000 } = options;
      await using database = open(server.url, { password: server.password, write, timeoutMs });
      return await database.query({ sql, params, maxRows, maxBytes }, signal);
    }

    test('gives its rows by column, with bound values', async () => {
      const sql = 'SELECT id, item, price, 5::int8 AS big, now() > at AS past FROM orders WHERE id = $1 AND item = $2';
      expect(await query(sql, { params: [1, 'tea'] })).toEqual({
        columns: ['id', 'item', 'price', 'big', 'past'],
        rows: [{ id: 1, item: 'tea', price: '2.5', big: 5, past: true }],
        cut: null,
        changed: null,
      });
      expect(String((await query('SELECT at FROM orders WHERE id = 1')).rows[0]?.at)).toMatch(/^2024-05-06 \d\d:\d8:09[+-]/);
    });

    test('takes a bound value as a value, whatever it says', async () => {
      const params = ["' OR true; DROP TABLE orders --"];
      expect((await query('SELECT * FROM orders WHERE item = $1', { params })).rows).toEqual([]);
    });

    test('is cut at its rows and its bytes, and says so', async () => {
      const many = await query('SELECT generate_series(1, 1000000000) AS x', { maxRows: 3 });
      expect(many.rows).toEqual([{ x: 1 }, { x: 2 }, { x: 3 }]);
      expect(many.cut).toMatch(/more rows than the 3/);
      const wide = await query("SELECT repeat('x', 900) AS text FROM generate_series(1, 100)", { maxBytes: 2_000 });
      expect(wide.rows).toHaveLength(2);
      expect(wide.cut).toMatch(/2000 bytes/);
    });

    test('that gives a value too large to hold is left', async () => {
      const before = process.memoryUsage.rss();
      const refused = await rejection(query("SELECT repeat('x', 900000000) AS text"));
      expect(refused.code).toBe('too-large');
      expect(process.memoryUsage.rss() - before).toBeLessThan(500 * 2 ** 20);
    });

    test('lists tables and columns', async () => {
      await using database = open(server.url, { password: server.password });
      const { rows } = await database.query(
        { sql: database.schemaSql, params: ['orders'], maxRows: 10, maxBytes: 10_000 },
        never,
      );
      expect(rows.slice(0, 2)).toEqual([
        { table: 'orders', kind: 'table', column: 'id', type: 'integer', required: 1, key: 1 },
        { table: 'orders', kind: 'table', column: 'item', type: 'text', required: 1, key: 0 },
      ]);
    });

    test.each([
      "INSERT INTO orders VALUES (9, 'x')",
      'DELETE FROM orders',
      'DROP TABLE orders',
      'CREATE TABLE t (a int)',
      'COMMIT',
      'ROLLBACK; DELETE FROM orders',
      'SELECT 1; DELETE FROM orders',
      'SELECT 1; COMMIT; DELETE FROM orders',
      'WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone',
      'SET TRANSACTION READ WRITE',
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
      "COPY (SELECT 1) TO PROGRAM 'touch /tmp/x'",
      "COPY orders TO '/tmp/skein-copied'",
      'DO $$ BEGIN DELETE FROM orders; END $$',
      'SELECT * INTO copied FROM orders',
      'SELECT * FROM orders FOR UPDATE',
      "SELECT nextval('nothing')",
      'CALL nothing()',
      'LISTEN x',
      'VACUUM',
    ])('that may only be read refuses %s, even to its owner', async (sql) => {
      const refused = await rejection(query(sql));
      expect(['invalid', 'denied']).toContain(refused.code);
      expect((await query('SELECT count(*) AS n FROM orders')).rows).toEqual([{ n: 2 }]);
      expect((await query("SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'")).rows).toEqual([{ n: 1 }]);
    });

    test('a statement that set the transaction to write in a function still writes nothing', async () => {
      const sql = "SELECT set_config('transaction_read_only', 'off', true), query_to_xml('DELETE FROM orders', true, true, '')";
      await rejection(query(sql));
      expect((await query('SELECT count(*) AS n FROM orders')).rows).toEqual([{ n: 2 }]);
    });

    test('that may be changed is, one statement at a time', async () => {
      await query('CREATE TABLE notes (id int)', { write: true });
      try {
        expect(await query('INSERT INTO notes SELECT generate_series(1, 5)', { write: true })).toMatchObject({ changed: 5 });
        expect((await query('DELETE FROM notes WHERE id > $1 RETURNING id', { write: true, params: [3] })).rows).toHaveLength(
          2,
        );
        expect((await rejection(query('DELETE FROM notes; DELETE FROM orders', { write: true }))).code).toBe('invalid');
        expect((await query('SELECT count(*) AS n FROM notes')).rows).toEqual([{ n: 3 }]);
      } finally {
        await query('DROP TABLE notes', { write: true });
      }
    });

    test('is told to stop what it runs when the caller stops', async () => {
      const caller = new AbortController();
      const running = rejection(query('SELECT pg_sleep(30) /* mine */', { signal: caller.signal }));
      const sleeping = async () =>
        (await query("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).rows[0]?.n;
      while ((await sleeping()) !== 1);
      caller.abort();
      expect((await running).code).toBe('canceled');
      expect(await sleeping()).toBe(0);
    });

    test('stops what runs longer than its time by itself', async () => {
      expect((await rejection(query('SELECT pg_sleep(30)', { timeoutMs: 100 }))).code).toBe('deadline-exceeded');
    });

    test('runs so many statements at once and says that it is busy', async () => {
      const caller = new AbortController();
      await using database = open(server.url, { password: server.password });
      const statement = { sql: 'SELECT pg_sleep(30)', params: [], maxRows: 1, maxBytes: 1_024 };
      const running = Array.from({ length: 4 }, () => rejection(database.query(statement, caller.signal)));
      expect((await rejection(database.query(statement, never))).code).toBe('busy');
      caller.abort();
      expect((await Promise.all(running)).map(({ code }) => code)).toEqual(Array(4).fill('canceled'));
    });

    test('does not show the password it was refused with', async () => {
      const url = server.url.replace('skein@', 'skein:hunter2-secret@');
      await using database = open(url, { password: 'hunter2-secret' });
      const refused = await rejection(database.query({ sql: 'SELECT 1', params: [], maxRows: 1, maxBytes: 1_024 }, never));
      expect(refused.code).toBe('unauthenticated');
      expect(shownOf(refused)).not.toContain('hunter2');
    });
  },
);

/** All that a log could write of an error. */
function shownOf(error: Error): string {
  return `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)} ${JSON.stringify(error.cause)}`;
}

test('a server that never answers is left at the deadline', async () => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    await using database = open(`postgres://me@127.0.0.1:${port}/x`);
    const statement = { sql: 'SELECT 1', params: [], maxRows: 1, maxBytes: 1_024 };
    expect((await rejection(database.query(statement, AbortSignal.timeout(200)))).code).toBe('deadline-exceeded');
  } finally {
    silent.close();
  }
});

test('no server at all is unavailable', async () => {
  await using database = open('postgres://me:hunter2@127.0.0.1:1/x', { password: 'hunter2' });
  const refused = await rejection(database.query({ sql: 'SELECT 1', params: [], maxRows: 1, maxBytes: 1_024 }, never));
  expect(refused.code).toBe('unavailable');
  expect(shownOf(refused)).not.toContain('hunter2');
});

test.each([
  'postgres://host/db',
  'postgres://me@host',
  'postgres://me:hunter2@/db',
  'postgres://me:hunter2@host/db?sslmode=maybe',
  'postgres://me:hunter2@host/db?options=-c%20x',
  'postgres://me:hunter2%@host/db',
  'mysql://me:hunter2@host/db',
])('the address %s is refused without being shown', (url) => {
  expect(() => parsePostgresAddress(url)).toThrow(
    expect.objectContaining({ code: 'invalid', message: expect.not.stringMatching(/hunter2|me@/) }),
  );
});

test('an address is taken apart', () => {
  expect(parsePostgresAddress('postgresql://m%40e:p%2Fw@[::1]:5433/my%20db?sslmode=require')).toEqual({
    host: '::1',
    port: 5433,
    user: 'm@e',
    password: 'p/w',
    database: 'my db',
    tls: 'verified',
  });
});
