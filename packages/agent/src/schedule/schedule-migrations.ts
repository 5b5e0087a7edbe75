import type { Migration } from '@skein/engine';

/** The tables of `ScheduleStore` and `admitTerm`. */
export const scheduleMigrations: readonly Migration[] = [
  {
    component: 'schedules',
    version: 1,
    sql: `
      CREATE TABLE fences (scope TEXT PRIMARY KEY, term INTEGER NOT NULL) STRICT;
      CREATE TABLE schedules (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        passed_ms INTEGER NOT NULL,
        last_due_ms INTEGER,
        last_task TEXT
      ) STRICT;
      CREATE TABLE schedule_runs (
        num INTEGER PRIMARY KEY,
        schedule TEXT NOT NULL,
        due_ms INTEGER NOT NULL,
        owner TEXT NOT NULL,
        state TEXT NOT NULL,
        UNIQUE (schedule, due_ms)
      ) STRICT;
      CREATE INDEX schedule_runs_open ON schedule_runs (schedule) WHERE state = 'open';
    `,
  },
];
