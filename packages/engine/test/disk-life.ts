import { type Database, type Migration, openDatabase } from '../src/index.ts';

/** What the tests of power cuts and failing disks write: each item in two tables, and how many there are in a third. */
const MIGRATION: Migration = {
  component: 'items',
  version: 1,
  sql: `CREATE TABLE items (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
        CREATE TABLE copies (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
        CREATE TABLE counts (id INTEGER PRIMARY KEY, items INTEGER NOT NULL) STRICT;
        INSERT INTO counts VALUES (1, 0);`,
};

export function openItems(path: string): Database {
  const database = openDatabase({ path, migrations: [MIGRATION] });
  // Often, so that what is moved into the file, and the log begun anew, is cut into as well.
  database.get('PRAGMA wal_autocheckpoint = 40');
  return database;
}

export function bodyOf(id: number): string {
  return `item ${id} `.repeat(1 + ((id * 37) % 120));
}

/** Writes one item; resolves when it is on the disk. */
export async function writeItem(database: Database, id: number): Promise<void> {
  const body = bodyOf(id);
  await database.write((writer) => {
    writer.run('INSERT INTO items VALUES (?, ?)', id, body);
    writer.run('INSERT INTO copies VALUES (?, ?)', id, body);
    writer.run('UPDATE counts SET items = items + 1');
  });
}

/**
 * What is wrong with a database in which these items must be, whole; with `exact`, no others: what was refused is not there
 * either. Once the power failed that is open.
 */
export function faultsOf(database: Database, told: ReadonlySet<number>, { exact = false } = {}): readonly string[] {
  const [items, copies] = ['items', 'copies'].map((table) => database.all(`SELECT * FROM ${table} ORDER BY id`));
  const ids = new Set(items?.map(({ id }) => Number(id)));
  const refused = exact ? [...ids].filter((id) => !told.has(id)).map((id) => `${id} was refused and is there`) : [];
  const lost = [...told].filter((id) => !ids.has(id)).map((id) => `${id} is lost`);
  const changed =
    items?.filter(({ id, body }) => body !== bodyOf(Number(id))).map(({ id }) => `${String(id)} is changed`) ?? [];
  const half = JSON.stringify(items) === JSON.stringify(copies) ? [] : ['a write is there by half'];
  const count = database.get('SELECT items FROM counts')?.items === ids.size ? [] : ['the count is not that of the items'];
  const integrity = database.get('PRAGMA integrity_check')?.integrity_check;
  const damage = integrity === 'ok' ? [] : [`integrity_check: ${String(integrity)}`];
  return [...lost, ...refused, ...changed, ...half, ...count, ...damage];
}
