import { createHash } from 'node:crypto';
import { chmodSync, closeSync, openSync, readSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { SkeinError } from '@skein/protocol';
import { Database } from './database.ts';
import { corruptDatabase, databaseError } from './database-error.ts';
import { type Mark, MarkFile, readMark } from './mark.ts';
import { APPLICATION_ID, createLayout, LAYOUT_VERSION, type Migration, migrate } from './migrations.ts';

export interface DatabaseOptions {
  /** A file in an existing directory, or `:memory:`. Beside it stand `-wal` and `.mark`. */
  readonly path: string;
  /** The tables of everything kept in it, component by component. */
  readonly migrations: readonly Migration[];
  /** How long to wait for another process to let go of it. */
  readonly busyTimeoutMs?: number;
  readonly maxStatements?: number;
  readonly maxPendingWrites?: number;
}

const DEFAULTS = { busyTimeoutMs: 2_000, maxStatements: 128, maxPendingWrites: 10_000 } as const;

/**
 * Opens or creates a database, for this process alone, mode 0600. A file that is damaged, not ours, emptied, shortened
 * or gone though its mark says it existed is never replaced.
 * @throws SkeinError `corrupt` naming the file, `busy` when another process has it, `unsupported` when a newer build
 * wrote it, `unavailable` when the disk refuses.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const settings = { ...DEFAULTS, ...options };
  try {
    return settings.path === ':memory:' ? openInMemory(settings) : openFile(settings);
  } catch (thrown) {
    throw openError(databaseError(thrown, settings.path), settings.path);
  }
}

type Settings = DatabaseOptions & { readonly [K in keyof typeof DEFAULTS]: number };

function openInMemory(settings: Settings): Database {
  const connection = new DatabaseSync(':memory:', { defensive: true });
  createLayout(connection);
  migrate(connection, settings.migrations, settings.path);
  return new Database({ ...settings, connection, mark: undefined, commits: 0, onClosed: () => {} });
}

function openFile(settings: Settings): Database {
  const { path } = settings;
  const markPath = `${path}.mark`;
  const known = readMark(markPath);
  const bytes = sizeOf(path);
  if (known !== undefined && bytes === 0) throw corruptDatabase(path, 'it is missing or empty, though it held data');
  if (bytes === 0) closeSync(openSync(path, 'a', 0o600));
  // A power cut while it was created may leave anything in it, and the journal by which SQLite empties it again.
  else if (known !== undefined || sizeOf(`${path}-journal`) === 0) assertDatabaseFile(path);
  chmodSync(path, 0o600);
  const intact = isAsClosed(path, known);
  const connection = connect(settings);
  try {
    prepareFile(connection, { path, unmarked: known === undefined, intact });
    const commits = commitsOf(connection, path);
    if (known !== undefined && known !== 'damaged' && commits < known.commits) {
      throw corruptDatabase(path, `it has ${commits} commits where ${known.commits} were confirmed`);
    }
    // Marked as open before anything more is written: from here on the digest no longer holds.
    const mark = new MarkFile(markPath, { commits, digest: undefined });
    migrate(connection, settings.migrations, path);
    const onClosed = (total: number) => {
      // A file that another process still has a log for is not whole by itself: then there is no digest to keep.
      const digest = sizeOf(`${path}-wal`) === 0 ? digestOf(path) : undefined;
      try {
        mark.write({ commits: total, digest }, { sync: true });
      } catch {
        // The database itself is closed in order; whatever of this is on the disk, the next opening looks at every page.
      } finally {
        mark.close();
      }
    };
    return new Database({ ...settings, connection, mark, commits, onClosed });
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

/** SQLite takes a file shorter than its header for an empty one, and would begin anew. */
function assertDatabaseFile(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(16);
    readSync(descriptor, magic);
    if (magic.toString('latin1') !== 'SQLite format 3\0')
      throw corruptDatabase(path, 'it does not begin as an SQLite file does');
  } finally {
    closeSync(descriptor);
  }
}

/** True when the file is byte for byte what was closed in order. @throws SkeinError `corrupt` when it should be and is not. */
function isAsClosed(path: string, known: Mark | 'damaged' | undefined): boolean {
  if (known === undefined || known === 'damaged' || known.digest === undefined) return false;
  if (digestOf(path) === known.digest) return sizeOf(`${path}-wal`) === 0;
  throw corruptDatabase(path, 'its bytes are not those it was closed with');
}

function connect(settings: Settings): DatabaseSync {
  const connection = new DatabaseSync(settings.path, { timeout: settings.busyTimeoutMs, defensive: true });
  try {
    // One process owns the file until it ends; a lock left by a killed one is released by the system.
    connection.exec('PRAGMA locking_mode = EXCLUSIVE');
    connection.exec('BEGIN EXCLUSIVE; COMMIT');
    return connection;
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

interface FileState {
  readonly path: string;
  /** No mark says that it ever held anything. */
  readonly unmarked: boolean;
  /** Byte for byte what was closed in order. */
  readonly intact: boolean;
}

function prepareFile(connection: DatabaseSync, state: FileState): void {
  if (state.unmarked && isBlank(connection)) createLayout(connection);
  assertOurs(connection, state.path);
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
  // A file whose digest holds is what we wrote; otherwise look at every page.
  if (!state.intact) quickCheck(connection, state.path);
}

/** New, or left by a process that ended while creating it. */
function isBlank(connection: DatabaseSync): boolean {
  const tables = connection.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.tables;
  return tables === 0 && connection.prepare('PRAGMA application_id').get()?.application_id === 0;
}

function assertOurs(connection: DatabaseSync, path: string): void {
  const application = connection.prepare('PRAGMA application_id').get()?.application_id;
  if (application !== APPLICATION_ID) {
    throw corruptDatabase(path, `it is an SQLite file of another program (application id ${String(application)})`);
  }
  const version = connection.prepare('PRAGMA user_version').get()?.user_version;
  if (version !== LAYOUT_VERSION) {
    throw new SkeinError(`The database ${path} has layout ${String(version)}; this build reads ${LAYOUT_VERSION}: update`, {
      code: 'unsupported',
    });
  }
}

function quickCheck(connection: DatabaseSync, path: string): void {
  const problem = connection.prepare('PRAGMA quick_check(1)').get()?.quick_check;
  if (problem !== 'ok') throw corruptDatabase(path, `quick_check says "${String(problem).slice(0, 200)}"`);
}

function commitsOf(connection: DatabaseSync, path: string): number {
  const commits = connection.prepare('SELECT commits FROM skein_commits WHERE id = 1').get()?.commits;
  if (typeof commits !== 'number') throw corruptDatabase(path, 'its commit counter is gone');
  return commits;
}

function openError(thrown: unknown, path: string): SkeinError {
  if (thrown instanceof SkeinError) return thrown;
  // While opening, what SQLite cannot make sense of (a table that should be there and is not) is damage as well.
  if (thrown instanceof Error && 'errcode' in thrown) return corruptDatabase(path, thrown.message, thrown);
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new SkeinError(`The database ${path} could not be opened: ${reason}`, { code: 'unavailable', cause: thrown });
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** SHA-256 of a file, read a piece at a time. */
function digestOf(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    const digest = createHash('sha256');
    const piece = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      const length = readSync(descriptor, piece);
      if (length === 0) return digest.digest('hex');
      digest.update(piece.subarray(0, length));
    }
  } finally {
    closeSync(descriptor);
  }
}
