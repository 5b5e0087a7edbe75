import type { DatabaseSync } from 'node:sqlite';
import { SkeinError } from '@skein/protocol';

/** One step of one component's tables. Published steps never change; a component grows by adding the next version. */
export interface Migration {
  /** Whose tables: `sessions`, `memory`. */
  readonly component: string;
  /** 1, 2, 3 … within the component, in the order given. */
  readonly version: number;
  readonly sql: string;
}

/** "Skei" in ASCII: marks a file as ours (https://www.sqlite.org/pragma.html#pragma_application_id). */
export const APPLICATION_ID = 0x536b_6569;
/** Version of the engine's own tables, kept in `user_version`. */
export const LAYOUT_VERSION = 1;

/** Creates the engine's own tables in an empty file. */
export function createLayout(connection: DatabaseSync): void {
  inTransaction(connection, () => {
    connection.exec(`
      CREATE TABLE skein_commits (id INTEGER PRIMARY KEY CHECK (id = 1), commits INTEGER NOT NULL) STRICT;
      INSERT INTO skein_commits VALUES (1, 0);
      CREATE TABLE skein_components (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
      PRAGMA application_id = ${APPLICATION_ID};
      PRAGMA user_version = ${LAYOUT_VERSION};
    `);
  });
}

/**
 * Brings every component to its last step, each step with its version in one transaction.
 * @throws SkeinError `unsupported` for a file that a newer build has moved on.
 */
export function migrate(connection: DatabaseSync, migrations: readonly Migration[], path: string): void {
  for (const [component, steps] of byComponent(migrations)) {
    const row = connection.prepare('SELECT version FROM skein_components WHERE component = ?').get(component);
    const version = typeof row?.version === 'number' ? row.version : 0;
    if (version > steps.length) {
      throw new SkeinError(
        `The database ${path} was written by a newer build (${component} ${version}, this one knows ${steps.length}): update`,
        { code: 'unsupported' },
      );
    }
    for (const step of steps.slice(version)) {
      inTransaction(connection, () => {
        connection.exec(step.sql);
        connection
          .prepare('INSERT INTO skein_components VALUES (?1, ?2) ON CONFLICT DO UPDATE SET version = ?2')
          .run(component, step.version);
      });
    }
  }
}

function byComponent(migrations: readonly Migration[]): Map<string, Migration[]> {
  const components = new Map<string, Migration[]>();
  for (const migration of migrations) {
    const steps = components.get(migration.component) ?? [];
    if (migration.version !== steps.length + 1) {
      throw new SkeinError(`Migration ${migration.component} ${migration.version} is out of order`, { code: 'internal' });
    }
    components.set(migration.component, [...steps, migration]);
  }
  return components;
}

function inTransaction(connection: DatabaseSync, work: () => void): void {
  connection.exec('BEGIN IMMEDIATE');
  try {
    work();
    connection.exec('COMMIT');
  } catch (thrown) {
    if (connection.isTransaction) connection.exec('ROLLBACK');
    throw thrown;
  }
}
