import type { Migration } from '@skein/engine';

/** The tables of `MemoryStore`. */
export const memoryMigrations: readonly Migration[] = [
  {
    component: 'memory',
    version: 1,
    sql: `
      CREATE TABLE facts (
        id INTEGER PRIMARY KEY,
        fact_id TEXT NOT NULL UNIQUE,
        text_key TEXT NOT NULL,
        body TEXT NOT NULL,
        author TEXT NOT NULL,
        forgotten_at_ms INTEGER,
        sum INTEGER NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX facts_by_text ON facts (text_key) WHERE forgotten_at_ms IS NULL;
      CREATE INDEX facts_by_author ON facts (author) WHERE forgotten_at_ms IS NULL;
      CREATE VIRTUAL TABLE fact_search
        USING fts5 (text, tags, content = '', contentless_delete = 1, prefix = '2 3', tokenize = "unicode61 remove_diacritics 2");
    `,
  },
  {
    // One fact may have several versions at once, each an operation; `dot` is empty until it is signed. Rows keep their
    // ids, which are those of the search index.
    component: 'memory',
    version: 2,
    sql: `
      ALTER TABLE facts RENAME TO facts_before;
      DROP INDEX facts_by_text;
      DROP INDEX facts_by_author;
      CREATE TABLE facts (
        id INTEGER PRIMARY KEY,
        fact_id TEXT NOT NULL,
        dot TEXT,
        at_ms INTEGER NOT NULL,
        text_key TEXT NOT NULL,
        body TEXT NOT NULL,
        author TEXT NOT NULL,
        forgotten_at_ms INTEGER,
        sum INTEGER NOT NULL
      ) STRICT;
      INSERT INTO facts (id, fact_id, at_ms, text_key, body, author, forgotten_at_ms, sum)
        SELECT id, fact_id, coalesce(forgotten_at_ms, body ->> 'atMs'), text_key, body, author, forgotten_at_ms, sum FROM facts_before;
      DROP TABLE facts_before;
      CREATE INDEX facts_by_text ON facts (text_key) WHERE forgotten_at_ms IS NULL;
      CREATE INDEX facts_by_fact ON facts (fact_id);
      CREATE INDEX facts_by_time ON facts (at_ms, id) WHERE forgotten_at_ms IS NULL;
      CREATE INDEX facts_unsigned ON facts (id) WHERE dot IS NULL AND forgotten_at_ms IS NULL;
      CREATE UNIQUE INDEX facts_by_dot ON facts (dot) WHERE dot IS NOT NULL;
      CREATE TABLE fact_counts (author TEXT PRIMARY KEY, facts INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      INSERT INTO fact_counts SELECT author, count(*) FROM facts WHERE forgotten_at_ms IS NULL GROUP BY author;
      CREATE TABLE fact_removals (dot TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    `,
  },
];
