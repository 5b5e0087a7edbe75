// The program in which SQLite runs. A statement can be stopped only by ending the process it runs in: it does not give
// the thread back, and a thread inside it cannot be ended. Loads nothing of other packages: it starts with each database.
import { constants, DatabaseSync, type StatementSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import type { QueryResult, Statement } from './database.ts';
import { ResultRows } from './result-rows.ts';

/** What the process is started with. */
export interface SqliteOpening {
  readonly file: string;
  readonly write: boolean;
}

/** What it answers each statement with. */
export type SqliteAnswer =
  | { readonly ok: true; readonly result: QueryResult }
  | { readonly ok: false; readonly errcode: number | null; readonly message: string };

/** What the process may hold; temporary tables and sorting stay in it too, so that nothing fills the disk. */
const MEMORY_BYTES = 536_870_912;
/** Of one value or row while SQLite works on it. */
const VALUE_BYTES = 16_777_216;
/** Of another's lock. */
const LOCK_WAIT_MS = 2_000;

/** Pragmas that tell and change nothing, whatever they are given. */
const TELLING = new Set(
  `table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list database_list collation_list
  function_list compile_options page_count freelist_count`.split(/\s+/),
);
/** Pragmas that tell when they are given nothing. */
const ASKED = new Set(['user_version', 'application_id', 'schema_version', 'encoding', 'page_size', 'journal_mode']);

const READING: ReadonlySet<number> = new Set([constants.SQLITE_SELECT, constants.SQLITE_READ, constants.SQLITE_RECURSIVE]);

/** Nothing that reaches another file (ATTACH, and with it VACUUM), code (virtual tables) or a later call (BEGIN). */
const WRITING: ReadonlySet<number> = new Set([
  constants.SQLITE_INSERT,
  constants.SQLITE_UPDATE,
  constants.SQLITE_DELETE,
  constants.SQLITE_CREATE_TABLE,
  constants.SQLITE_CREATE_INDEX,
  constants.SQLITE_CREATE_VIEW,
  constants.SQLITE_CREATE_TRIGGER,
  constants.SQLITE_DROP_TABLE,
  constants.SQLITE_DROP_INDEX,
  constants.SQLITE_DROP_VIEW,
  constants.SQLITE_DROP_TRIGGER,
  constants.SQLITE_ALTER_TABLE,
  constants.SQLITE_REINDEX,
  constants.SQLITE_ANALYZE,
]);

function open({ file, write }: SqliteOpening): DatabaseSync {
  const limits = { length: VALUE_BYTES, sqlLength: VALUE_BYTES, attach: 0 };
  const database = new DatabaseSync(file, { readOnly: !write, allowExtension: false, timeout: LOCK_WAIT_MS, limits });
  database.enableDefensive(true);
  database.exec('PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF');
  if (!write) database.exec('PRAGMA query_only=ON');
  database.setAuthorizer((action, first, second) => {
    if (READING.has(action) || (write && WRITING.has(action))) return constants.SQLITE_OK;
    if (action === constants.SQLITE_FUNCTION && second !== 'load_extension') return constants.SQLITE_OK;
    if (action === constants.SQLITE_PRAGMA && tells(first ?? '', second)) return constants.SQLITE_OK;
    return constants.SQLITE_DENY;
  });
  return database;
}

function tells(pragma: string, value: string | null): boolean {
  const name = pragma.toLowerCase();
  return TELLING.has(name) || (ASKED.has(name) && value === null);
}

function run(database: DatabaseSync, { sql, params, ...limits }: Statement): QueryResult {
  const statement = database.prepare(sql);
  if (holdsStatement(sql.slice(statement.sourceSQL.length))) {
    throw new Error('it holds more than one statement; put one at a time');
  }
  const values = params.map((value) => (typeof value === 'boolean' ? Number(value) : value));
  const columns = statement.columns().map(({ name }) => name);
  const rows = new ResultRows(columns, limits);
  if (columns.length === 0) return rows.result(Number(statement.run(...values).changes));
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  for (const row of iterateArrays(statement, values)) if (!rows.add(row)) break;
  return rows.result(null);
}

function iterateArrays(statement: StatementSync, values: readonly (string | number | null)[]): Iterable<readonly unknown[]> {
  // Proven: setReturnArrays(true) makes each row an array, which the library's types do not say.
  return statement.iterate(...values) as Iterable<unknown> as Iterable<readonly unknown[]>;
}

/** Whether more than space, comments and semicolons is left of a text. */
function holdsStatement(rest: string): boolean {
  return rest.replace(/--[^\n]*|\/\*[\s\S]*?(\*\/|$)/g, '').replace(/[\s;]/g, '') !== '';
}

function answer(database: DatabaseSync, statement: Statement): SqliteAnswer {
  try {
    return { ok: true, result: run(database, statement) };
  } catch (error) {
    const errcode = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : null;
    return { ok: false, errcode, message: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Ends the process, even in the middle of a statement, when the one that started it is gone or it holds too much memory,
 * which is told by SIGTERM. A thread of its own looks: this one may be inside SQLite for long.
 */
function watchOver(): void {
  const code = `const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
      if (process.memoryUsage.rss() > ${MEMORY_BYTES}) process.kill(process.pid, 'SIGTERM');
    }, 50);`;
  new Worker(code, { eval: true }).unref();
  process.on('disconnect', () => process.exit(0));
}

// Proven: only sqlite-database.ts starts this program, and puts this there.
const opening = JSON.parse(process.argv[2] ?? '') as SqliteOpening;
watchOver();
let database: DatabaseSync | undefined;
process.on('message', (statement: Statement) => {
  try {
    database ??= open(opening);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.send?.({ ok: false, errcode: 14, message } satisfies SqliteAnswer);
    return;
  }
  process.send?.(answer(database, statement));
});
