import type { DatabaseSync } from 'node:sqlite';
import { SkeinError } from '@skein/protocol';
import { commitGroup, type PendingWrite, pendingWrite } from './commit-group.ts';
import { databaseError } from './database-error.ts';
import type { MarkFile } from './mark.ts';
import { type Reader, type Row, type SqlValue, Statements, type Writer } from './statements.ts';

const MAX_GROUP = 256;

export interface DatabaseParts {
  readonly path: string;
  readonly connection: DatabaseSync;
  /** Undefined for a database in memory. */
  readonly mark: MarkFile | undefined;
  readonly commits: number;
  readonly maxStatements: number;
  readonly maxPendingWrites: number;
  /** Called once after the connection closed in order, with the number of commits. */
  readonly onClosed: (commits: number) => void;
}

/** An open database, made by `openDatabase`. Who opened it closes it. */
export class Database implements Reader {
  readonly path: string;
  readonly #parts: DatabaseParts;
  readonly #statements: Statements;
  readonly #pending: PendingWrite[] = [];
  #commits: number;
  #scheduled: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(parts: DatabaseParts) {
    this.path = parts.path;
    this.#parts = parts;
    this.#commits = parts.commits;
    this.#statements = new Statements({ connection: parts.connection, maxStatements: parts.maxStatements });
  }

  /** Every row of a query, as last committed. @throws SkeinError `corrupt`, `unavailable`. */
  all(sql: string, ...values: SqlValue[]): readonly Row[] {
    return this.#read(() => this.#statements.all(sql, ...values));
  }

  /** The first row of a query, as last committed. @throws SkeinError `corrupt`, `unavailable`. */
  get(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.#read(() => this.#statements.get(sql, ...values));
  }

  /**
   * Runs a synchronous function in a transaction and resolves with its value once that is on the disk. Writes waiting
   * at the same time share one commit. A function that throws changes nothing and fails alone. It may be run a second
   * time when the first transaction could not commit, so it must touch nothing but the writer.
   * @throws SkeinError `unavailable` (disk full, failing or read-only), `busy` (too many writes waiting), `corrupt`.
   */
  async write<T>(work: (writer: Writer) => T): Promise<T> {
    this.#assertOpen();
    if (this.#pending.length >= this.#parts.maxPendingWrites) {
      throw new SkeinError(`${this.#pending.length} writes wait for ${this.path}: try again later`, {
        code: 'busy',
        retryAfterMs: 100,
      });
    }
    const { write, promise } = pendingWrite(() => work(this.#statements));
    this.#pending.push(write);
    this.#scheduled ??= setImmediate(() => this.#flush());
    return promise;
  }

  /** Commits what waits, then closes. Closing again does nothing. */
  close(): void {
    if (this.#closed) return;
    while (this.#pending.length > 0) this.#flush();
    this.#closed = true;
    this.#statements.clear();
    this.#parts.connection.close();
    this.#parts.onClosed(this.#commits);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const group = this.#pending.splice(0, MAX_GROUP);
    commitGroup(group, {
      connection: this.#parts.connection,
      beforeCommit: () => this.#statements.run('UPDATE skein_commits SET commits = ? WHERE id = 1', this.#commits + 1),
      afterCommit: () => this.#countCommit(),
      convert: (thrown) => databaseError(thrown, this.path),
    });
    if (this.#pending.length > 0) this.#scheduled ??= setImmediate(() => this.#flush());
  }

  #countCommit(): void {
    this.#commits += 1;
    try {
      this.#parts.mark?.write({ commits: this.#commits, digest: undefined }, { sync: false });
    } catch {
      // The commit stands; an older mark only means that less of a damaged file would be noticed.
    }
  }

  #read<T>(work: () => T): T {
    this.#assertOpen();
    try {
      return work();
    } catch (thrown) {
      throw databaseError(thrown, this.path);
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new SkeinError(`The database ${this.path} is closed`, { code: 'unavailable' });
  }
}
