import type { Migration } from '@skein/engine';

/** The tables of `SessionStore`. */
export const sessionMigrations: readonly Migration[] = [
  {
    component: 'sessions',
    version: 1,
    sql: `
      CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        last_seq INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX sessions_by_time ON sessions (updated_at_ms DESC);
      CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        tainted INTEGER NOT NULL,
        body TEXT NOT NULL,
        sum INTEGER NOT NULL,
        UNIQUE (session_id, seq)
      ) STRICT;
      CREATE VIRTUAL TABLE message_search
        USING fts5 (text, content = '', contentless_delete = 1, prefix = '2 3', tokenize = "unicode61 remove_diacritics 2");
    `,
  },
];
