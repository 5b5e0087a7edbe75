import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';

/** What a statement takes: null, numbers, bigints, text, bytes. */
export type SqlValue = SQLInputValue;
/** One row by column name. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** Reads from a database. Rows are read whole: bound them with LIMIT. */
export interface Reader {
  all(sql: string, ...values: SqlValue[]): readonly Row[];
  get(sql: string, ...values: SqlValue[]): Row | undefined;
}

/** Reads and writes inside one transaction. */
export interface Writer extends Reader {
  /** The number of rows changed. */
  run(sql: string, ...values: SqlValue[]): number;
}

/** Prepared statements by their SQL, the least recently used dropped beyond the bound. */
export class Statements implements Writer {
  readonly #connection: DatabaseSync;
  readonly #maxStatements: number;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(parts: { readonly connection: DatabaseSync; readonly maxStatements: number }) {
    this.#connection = parts.connection;
    this.#maxStatements = parts.maxStatements;
  }

  get size(): number {
    return this.#prepared.size;
  }

  all(sql: string, ...values: SqlValue[]): readonly Row[] {
    return this.#statement(sql).all(...values);
  }

  get(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  run(sql: string, ...values: SqlValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  clear(): void {
    this.#prepared.clear();
  }

  #statement(sql: string): StatementSync {
    const statement = this.#prepared.get(sql) ?? this.#connection.prepare(sql);
    this.#prepared.delete(sql);
    this.#prepared.set(sql, statement);
    if (this.#prepared.size > this.#maxStatements) {
      for (const oldest of this.#prepared.keys()) {
        this.#prepared.delete(oldest);
        break;
      }
    }
    return statement;
  }
}
