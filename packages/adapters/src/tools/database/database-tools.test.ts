import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { toolDescriptor } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { intentOf, rejection, temporaryFolder, toolContext } from '../../../test/tool-fixture.ts';
import { databasesConfig } from './database-config.ts';
import { createDatabaseTools } from './database-tools.ts';

async function open(databases: object, environment: Record<string, string> = {}, hidden: readonly string[] = []) {
  const folder = await temporaryFolder();
  const made = new DatabaseSync(join(folder.path, 'shop.db'));
  made.exec(
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL); INSERT INTO orders VALUES (1, 'tea'), (2, 'jam')",
  );
  made.close();
  const opened = createDatabaseTools({ databases: databasesConfig.parse(databases), root: folder.path, hidden, environment });
  const tool = (name: string) => {
    const found = opened.tools.find(({ descriptor }) => descriptor.name === name);
    if (found === undefined) throw new Error(`no tool ${name}`);
    return found;
  };
  return {
    tools: opened.tools,
    tool,
    run: (name: string, input: object) => tool(name).run(input, toolContext()),
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const SHOP = { shop: { url: 'sqlite:./shop.db' } };

describe('the tools of databases', () => {
  test('are none without a database', async () => {
    await using databases = await open({});
    expect(databases.tools).toEqual([]);
  });

  test('query and describe the only one without its name', async () => {
    await using databases = await open(SHOP);
    expect(await databases.run('db_query', { sql: 'SELECT item FROM orders WHERE id = ?', params: [2] })).toEqual({
      database: 'shop',
      columns: ['item'],
      rows: [{ item: 'jam' }],
      rowCount: 1,
      truncated: false,
      ms: expect.any(Number),
    });
    expect(await databases.run('db_schema', {})).toEqual({
      database: 'shop',
      kind: 'SQLite',
      count: 1,
      tables: [{ name: 'orders', kind: 'table', columns: ['id INTEGER key', 'item TEXT required'] }],
      truncated: false,
    });
    expect((await rejection(databases.run('db_schema', { table: 'none' }))).code).toBe('not-found');
  });

  test('want the name of one of several, and of no other', async () => {
    await using databases = await open({ ...SHOP, other: { url: 'sqlite:./shop.db' } });
    expect((await rejection(databases.run('db_query', { sql: 'SELECT 1' }))).code).toBe('invalid');
    expect((await rejection(databases.run('db_query', { sql: 'SELECT 1', database: 'toString' }))).code).toBe('invalid');
    expect(await databases.run('db_query', { sql: 'SELECT 1 AS one', database: 'other' })).toMatchObject({
      rows: [{ one: 1 }],
    });
  });

  test('read only unless one may be changed, and are untrusted', async () => {
    await using reading = await open(SHOP);
    expect(reading.tools.map(({ descriptor, untrusted }) => [descriptor.effect, untrusted])).toEqual([
      ['read', true],
      ['read', true],
    ]);
    expect((await rejection(reading.run('db_query', { sql: 'DELETE FROM orders' }))).code).toBe('denied');
    await using writing = await open({ shop: { ...SHOP.shop, write: true } });
    expect(writing.tools.map(({ descriptor }) => descriptor.effect)).toEqual(['at-most-once', 'read']);
    expect(await writing.run('db_query', { sql: 'DELETE FROM orders' })).toMatchObject({ changed: 2, rowCount: 0 });
  });

  test('say what they cut', async () => {
    await using databases = await open({ shop: { ...SHOP.shop, maxRows: 1 } });
    expect(await databases.run('db_query', { sql: 'SELECT * FROM orders', limit: 100 })).toMatchObject({
      rowCount: 1,
      truncated: true,
      note: 'there are more rows than the 1 shown; ask for less',
    });
  });

  test('stop at the time of the configuration', async () => {
    await using databases = await open({ shop: { ...SHOP.shop, timeoutMs: 300 } });
    const sql = 'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n';
    expect((await rejection(databases.run('db_query', { sql }))).code).toBe('deadline-exceeded');
  });

  test('are told to peers without address or password', async () => {
    await using databases = await open(
      { far: { url: 'postgres://me:hunter2@db.example.org/shop', passwordEnv: 'SHOP_PASSWORD' }, ...SHOP },
      { SHOP_PASSWORD: 'sesame' },
    );
    for (const { descriptor } of databases.tools) {
      expect(toolDescriptor.safeParse(descriptor).error).toBeUndefined();
      expect(JSON.stringify(descriptor)).not.toMatch(/hunter2|sesame|example\.org|shop\.db/);
    }
  });

  test('are not made without the password they name, nor over what is hidden', async () => {
    const far = { far: { url: 'postgres://me@host/shop', passwordEnv: 'SHOP_PASSWORD' } };
    await expect(open(far)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining('SHOP_PASSWORD'),
    });
    const own = { own: { url: 'sqlite:/data/.skein/memory.db' } };
    await expect(open(own, {}, ['/data/.skein'])).rejects.toMatchObject({ code: 'denied' });
  });
});

test.each([
  { shop: { url: 'sqlite:' } },
  { shop: { url: 'mysql://host/db' } },
  { shop: { url: 'sqlite:x', passwordEnv: 'not a name' } },
  { 'shop/x': { url: 'sqlite:x' } },
  { shop: { url: 'sqlite:x', maxRow: 5 } },
])('the configuration %j is refused', (databases) => {
  expect(databasesConfig.safeParse(databases).success).toBe(false);
});

test.each([
  ['which tables does the database have?', 'db_schema', {}],
  ['show the database schema', 'db_schema', {}],
  ['describe the table orders', 'db_schema', { table: 'orders' }],
  ['how many rows are in the table orders?', 'db_query', { sql: 'SELECT count(*) AS count FROM orders' }],
  ['run the query SELECT item FROM orders', 'db_query', { sql: 'SELECT item FROM orders' }],
  ['show the rows of the table orders', 'db_query', { sql: 'SELECT * FROM orders' }],
])('the built-in brain understands "%s"', async (text, name, input) => {
  await using databases = await open(SHOP);
  expect(await intentOf(text, databases.tools)).toEqual({ name, input });
});
