import type { Migration } from '@skein/engine';

/** The tables of `TaskJournal`. */
export const taskMigrations: readonly Migration[] = [
  {
    component: 'tasks',
    version: 1,
    sql: `
      CREATE TABLE tasks (
        num INTEGER PRIMARY KEY,
        origin TEXT NOT NULL,
        id TEXT NOT NULL,
        digest TEXT NOT NULL,
        session TEXT NOT NULL,
        priority TEXT NOT NULL,
        title TEXT NOT NULL,
        path TEXT NOT NULL,
        sender TEXT NOT NULL,
        accepted_at_ms INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL,
        owner TEXT NOT NULL,
        runs INTEGER NOT NULL,
        crashes INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        settled_seq INTEGER NOT NULL,
        deadline_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        UNIQUE (origin, id)
      ) STRICT;
      CREATE INDEX tasks_open ON tasks (num) WHERE state IN ('queued', 'running', 'forwarded');
      CREATE INDEX tasks_ended ON tasks (kept, updated_at_ms) WHERE state NOT IN ('queued', 'running', 'forwarded');
      CREATE TABLE task_texts (
        task INTEGER NOT NULL REFERENCES tasks (num) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        sum INTEGER NOT NULL,
        PRIMARY KEY (task, kind)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE task_steps (
        task INTEGER NOT NULL REFERENCES tasks (num) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        body TEXT NOT NULL,
        sum INTEGER NOT NULL,
        PRIMARY KEY (task, seq)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  { component: 'tasks', version: 2, sql: 'CREATE INDEX tasks_sender ON tasks (sender, id);' },
  {
    component: 'tasks',
    version: 3,
    sql: `
      CREATE TABLE task_epoch (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        boot TEXT NOT NULL,
        apart_ms INTEGER NOT NULL
      ) STRICT;
    `,
  },
];
