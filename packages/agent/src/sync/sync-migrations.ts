import type { Migration } from '@skein/engine';

/** The tables of `OperationLog`. */
export const syncMigrations: readonly Migration[] = [
  {
    component: 'operations',
    version: 1,
    sql: `
      CREATE TABLE operation_logs (
        log TEXT PRIMARY KEY,
        replica TEXT NOT NULL,
        time TEXT NOT NULL
      ) STRICT;
      CREATE TABLE operation_chains (
        id INTEGER PRIMARY KEY,
        log TEXT NOT NULL,
        author TEXT NOT NULL,
        replica TEXT NOT NULL,
        seq INTEGER NOT NULL,
        digest BLOB NOT NULL,
        time TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        UNIQUE (log, author, replica)
      ) STRICT;
      CREATE TABLE operations (
        id INTEGER PRIMARY KEY,
        chain INTEGER NOT NULL REFERENCES operation_chains (id),
        seq INTEGER NOT NULL,
        head BLOB NOT NULL,
        body TEXT,
        erased INTEGER NOT NULL DEFAULT 0,
        asked INTEGER NOT NULL DEFAULT 0,
        UNIQUE (chain, seq)
      ) STRICT;
      CREATE INDEX operation_holes ON operations (asked, id) WHERE body IS NULL AND erased = 0;
      CREATE TABLE operation_quarantine (
        log TEXT NOT NULL,
        author TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        reason TEXT NOT NULL,
        one BLOB NOT NULL,
        other BLOB NOT NULL,
        PRIMARY KEY (log, author)
      ) STRICT;
    `,
  },
];
