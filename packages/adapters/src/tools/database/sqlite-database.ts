import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { untilAborted } from '@skein/agent';
import { abortReason, type ErrorCode, SkeinError } from '@skein/protocol';
import type { Database, QueryResult, Statement } from './database.ts';
import type { SqliteAnswer, SqliteOpening } from './sqlite-process.ts';

export interface SqliteDatabaseOptions extends SqliteOpening {
  /** What to call it in messages. */
  readonly name: string;
}

/** Statements that wait for one to end. */
const MAX_WAITING = 32;
/** A process that has had nothing to do for so long is ended. */
const IDLE_MS = 60_000;
const HEAP_MIB = 256;

const SCHEMA_SQL = `
  SELECT t.name AS "table", t.type AS kind, c.name AS "column", c.type AS type, c."notnull" AS required, c.pk > 0 AS "key"
  FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c
  WHERE t.schema = 'main' AND t.type IN ('table', 'view', 'virtual') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    AND (?1 = '' OR t.name = ?1 COLLATE NOCASE)
  ORDER BY t.name, c.cid`;

/**
 * A file of SQLite, read only unless `write`. Statements run one after the other in a process of their own, which is
 * started when there is one and ended, with what it runs, when its caller stops or its time is up.
 */
export class SqliteDatabase implements Database {
  readonly kind = 'SQLite';
  readonly schemaSql = SCHEMA_SQL;
  readonly #options: SqliteDatabaseOptions;
  #child: ChildProcess | undefined;
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(options: SqliteDatabaseOptions) {
    this.#options = options;
  }

  async query(statement: Statement, signal: AbortSignal): Promise<QueryResult> {
    if (this.#waiting > MAX_WAITING) {
      throw new SkeinError(`${MAX_WAITING} statements wait for the database ${this.#options.name} already`, {
        code: 'busy',
        retryAfterMs: 1_000,
      });
    }
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = before.then(() => promise);
    this.#waiting += 1;
    try {
      await untilAborted(before, signal);
      return await this.#ask(statement, signal);
    } finally {
      this.#waiting -= 1;
      resolve();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#end();
  }

  async #ask(statement: Statement, signal: AbortSignal): Promise<QueryResult> {
    clearTimeout(this.#idle);
    const child = await this.#start();
    if (signal.aborted) throw abortReason(signal);
    // The process is ended before the next statement is taken, so that what was stopped holds no lock any more.
    const answered = this.#answerOf(child);
    child.send(statement, () => undefined);
    try {
      return this.#read(await untilAborted(answered, signal));
    } catch (error) {
      if (signal.aborted) await this.#end();
      throw error;
    } finally {
      if (this.#child === child) this.#rest();
    }
  }

  async #start(): Promise<ChildProcess> {
    const { name, file, write } = this.#options;
    if (this.#child !== undefined) return this.#child;
    const found = await stat(file).catch(() => undefined);
    if (this.#closed) throw new SkeinError(`The database ${name} is closed`, { code: 'unavailable' });
    // Opened for writing, SQLite would make a file that is not there.
    if (found?.isFile() !== true)
      throw new SkeinError(`There is no file ${file} for the database ${name}`, { code: 'not-found' });
    const opening: SqliteOpening = { file, write };
    const child = fork(programPath(), [JSON.stringify(opening)], {
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
      env: {},
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.on('error', () => undefined); // `exit` follows, or it was not started at all.
    if (child.pid === undefined) {
      throw new SkeinError(`The database ${name} cannot be opened now; try again`, {
        code: 'unavailable',
        retryAfterMs: 1_000,
      });
    }
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    this.#child = child;
    return child;
  }

  #answerOf(child: ChildProcess): Promise<SqliteAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<SqliteAnswer>();
    const onEnd = (_code: number | null, ended: string | null) => {
      const name = `The database ${this.#options.name}`;
      reject(
        ended === 'SIGTERM'
          ? new SkeinError(`${name} took too much memory for a statement; ask for less`, { code: 'too-large' })
          : new SkeinError(`${name} ended in the middle of a statement`, { code: 'unavailable' }),
      );
    };
    child.once('exit', onEnd);
    child.once('message', (message) => {
      child.off('exit', onEnd);
      // Proven: sqlite-process.ts sends nothing else.
      resolve(message as SqliteAnswer);
    });
    return promise;
  }

  #read(answer: SqliteAnswer): QueryResult {
    if (answer.ok) return answer.result;
    throw new SkeinError(`The database ${this.#options.name} refused: ${answer.message}`, { code: codeOf(answer.errcode) });
  }

  #rest(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      this.#end().catch(() => undefined); // It rejects never; the promise is nobody's to wait for.
    }, IDLE_MS);
    this.#idle.unref();
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

/** Result codes of SQLite (sqlite.org/rescode.html), without what extends them, that are no fault of the statement. */
function codeOf(errcode: number | null): ErrorCode {
  switch ((errcode ?? 1) & 0xff) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return 'busy';
    case 3: // SQLITE_PERM
    case 8: // SQLITE_READONLY
    case 23: // SQLITE_AUTH
      return 'denied';
    case 7: // SQLITE_NOMEM
    case 13: // SQLITE_FULL
    case 18: // SQLITE_TOOBIG
      return 'too-large';
    case 10: // SQLITE_IOERR
    case 14: // SQLITE_CANTOPEN
      return 'unavailable';
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return 'corrupt';
    default:
      return 'invalid';
  }
}

/** The program beside this file, as source or built. */
function programPath(): string {
  return fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './sqlite-process.ts' : './sqlite-process.js', import.meta.url),
  );
}
