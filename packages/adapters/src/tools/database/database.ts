import type { Json } from '@skein/protocol';

/** A value that stands for a `?` or `$1` of a statement. */
export type Parameter = string | number | boolean | null;

export interface Statement {
  readonly sql: string;
  readonly params: readonly Parameter[];
  readonly maxRows: number;
  /** Of the rows as JSON. */
  readonly maxBytes: number;
}

/** What a statement gave, cut to its bounds. */
export interface QueryResult {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly [column: string]: Json }[];
  /** What was cut, in words; null when it is all there. */
  readonly cut: string | null;
  /** Rows the statement changed; null for one that only reads. */
  readonly changed: number | null;
}

/** One database that statements can be put to, each in a transaction of its own. Dispose it to close what it opened. */
export interface Database extends AsyncDisposable {
  /** What it is, in a word or two: "SQLite". */
  readonly kind: string;
  /**
   * A statement whose rows are the columns of all tables, in order: `table`, `kind`, `column`, `type`, `required` and
   * `key` (1 or 0). It takes the name of one table, or '' for all.
   */
  readonly schemaSql: string;
  /**
   * Runs one statement. When the signal fires the statement is stopped, not only left.
   * @throws SkeinError `invalid` for what the database does not take, `denied` for what may not be done, `busy`,
   * `too-large`, `corrupt`, `unavailable`, or the signal's reason.
   */
  query(statement: Statement, signal: AbortSignal): Promise<QueryResult>;
}
