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
];
