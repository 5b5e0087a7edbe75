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
  {
    // `place` orders the messages of a conversation, the same on every node; before they are signed it is empty, and
    // `seq`, the order in which they came here, decides.
    component: 'sessions',
    version: 2,
    sql: `
      ALTER TABLE messages ADD COLUMN place TEXT NOT NULL DEFAULT '';
      ALTER TABLE messages ADD COLUMN dot TEXT;
      ALTER TABLE messages ADD COLUMN author TEXT;
      ALTER TABLE sessions ADD COLUMN author TEXT;
      CREATE INDEX messages_by_place ON messages (session_id, place, seq);
      CREATE INDEX messages_unsigned ON messages (id) WHERE dot IS NULL;
      CREATE TABLE session_floors (session_id TEXT PRIMARY KEY, time TEXT NOT NULL) STRICT, WITHOUT ROWID;
    `,
  },
];
