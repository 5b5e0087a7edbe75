import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Migration } from './migrations.ts';
import { openDatabase } from './open-database.ts';

const ITEMS: Migration = {
  component: 'items',
  version: 1,
  sql: 'CREATE TABLE items (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;',
};

/** A small file system in memory, mounted on a directory of its own; undefined where that is not allowed. */
function mountSmall(): { readonly directory: string; [Symbol.dispose](): void } | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'skein-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', directory]).status === 0;
  if (!mounted) {
    rmSync(directory, { recursive: true });
    return undefined;
  }
  return {
    directory,
    [Symbol.dispose]() {
      execFileSync('umount', [directory]);
      rmSync(directory, { recursive: true });
    },
  };
}

const probe = mountSmall();
probe?.[Symbol.dispose]();

test.skipIf(probe === undefined)(
  'a full disk refuses new writes, keeps reads, and recovers when there is space (needs root, to mount a tmpfs)',
  async () => {
    using small = mountSmall();
    const directory = small?.directory ?? '';
    const path = join(directory, 'a.db');
    const database = openDatabase({ path, migrations: [ITEMS] });
    const insert = (body: string) => database.write((writer) => writer.run('INSERT INTO items (body) VALUES (?)', body));
    const count = () => database.get('SELECT count(*) AS rows FROM items')?.rows;
    await insert('kept');
    const ballast = join(directory, 'ballast');
    expect(() => writeFileSync(ballast, Buffer.alloc(4 << 20))).toThrow(/ENOSPC/);

    await expect(insert('x'.repeat(100_000))).rejects.toMatchObject({ code: 'unavailable' });
    expect(count()).toBe(1);

    rmSync(ballast);
    await insert('after');
    expect(count()).toBe(2);
    expect(() => writeFileSync(ballast, Buffer.alloc(4 << 20))).toThrow(/ENOSPC/);
    database.close();
    // A restart while it is still full loses nothing and can read.
    using again = openDatabase({ path, migrations: [ITEMS] });
    expect(again.all('SELECT body FROM items').map((row) => row.body)).toEqual(['kept', 'after']);
  },
);

test('a write too big for what is left does not take the small ones beside it with it', async () => {
  using database = openDatabase({ path: ':memory:', migrations: [ITEMS] });
  const pages = Number(database.get('PRAGMA page_count')?.page_count);
  database.get(`PRAGMA max_page_count = ${pages + 8}`);
  const insert = (body: string) => database.write((writer) => writer.run('INSERT INTO items (body) VALUES (?)', body));
  const outcomes = await Promise.allSettled([insert('small'), insert('x'.repeat(1_000_000)), insert('small too')]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(outcomes[1]).toMatchObject({ reason: { code: 'unavailable' } });
  expect(database.all('SELECT body FROM items').map((row) => row.body)).toEqual(['small', 'small too']);
});
