import { openDatabase } from '../src/sqlite/open-database.ts';

/** Run by the kill test: writes without end and prints each number once it is acknowledged. */
const database = openDatabase({
  path: process.argv[2] ?? '',
  migrations: [{ component: 'items', version: 1, sql: 'CREATE TABLE items (id INTEGER PRIMARY KEY) STRICT;' }],
});
for (;;) {
  const ids = await Promise.all(
    Array.from({ length: 5 }, () =>
      database.write((writer) => writer.get('INSERT INTO items DEFAULT VALUES RETURNING id')?.id),
    ),
  );
  process.stdout.write(`${ids.join('\n')}\n`);
}
