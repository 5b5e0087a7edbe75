import type { Json } from '@skein/protocol';
import type { QueryResult, Statement } from './database.ts';

/** Characters of one value. */
const MAX_CELL_CHARS = 16_384;
/** Values in all rows, so that what comes of a wide table can still go to a peer. */
const MAX_CELLS = 16_384;
const MAX_COLUMNS = 2_000;

// Nothing of another package here: the process that runs SQLite loads this file too.

/** The rows of one result as they come, up to its bounds. */
export class ResultRows {
  readonly #limits: Pick<Statement, 'maxRows' | 'maxBytes'>;
  readonly #columns: readonly string[];
  readonly #rows: { readonly [column: string]: Json }[] = [];
  #room: number;
  #cut: string | null = null;

  constructor(columns: readonly string[], limits: Pick<Statement, 'maxRows' | 'maxBytes'>) {
    this.#limits = limits;
    this.#columns = unique(columns.slice(0, MAX_COLUMNS));
    this.#room = limits.maxBytes;
    if (columns.length > MAX_COLUMNS) this.#cut = `${MAX_COLUMNS} of ${columns.length} columns are shown`;
  }

  /** Takes a row in; false when it and all that follow have no room. */
  add(values: readonly unknown[]): boolean {
    const { maxRows, maxBytes } = this.#limits;
    if (this.#rows.length >= maxRows) return this.#full(`there are more rows than the ${maxRows} shown`);
    if ((this.#rows.length + 1) * this.#columns.length > MAX_CELLS && this.#rows.length > 0) {
      return this.#full(`there are more rows than the ${this.#rows.length} shown, which have ${MAX_CELLS} values`);
    }
    const cells = this.#columns.map((_, at) => this.#cell(values[at]));
    const bytes = Buffer.byteLength(JSON.stringify(cells)) + this.#columns.reduce((sum, name) => sum + name.length + 3, 0);
    if (bytes > this.#room) return this.#full(`there is more than the ${maxBytes} bytes shown`);
    this.#room -= bytes;
    this.#rows.push(Object.fromEntries(this.#columns.map((name, at) => [name, cells[at] ?? null])));
    return true;
  }

  result(changed: number | null): QueryResult {
    return { columns: this.#columns, rows: this.#rows, cut: this.#cut, changed };
  }

  #full(what: string): false {
    this.#cut = `${what}; ask for less`;
    return false;
  }

  #cell(value: unknown): Json {
    const cell = toJson(value);
    if (typeof cell !== 'string' || cell.length <= MAX_CELL_CHARS) return cell;
    this.#cut ??= `values longer than ${MAX_CELL_CHARS} characters are cut`;
    return `${cell.slice(0, MAX_CELL_CHARS).toWellFormed()}… [${cell.length} characters]`;
  }
}

/** A database's value as JSON: what JSON has no word for becomes text, and bytes become their number. */
function toJson(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  // A composite value: its text says as much, and does not nest.
  return JSON.stringify(value) ?? String(value);
}

/** Names that are keys of one object: a second `id` becomes `id_2`. */
function unique(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let count = 2; taken.has(free); count += 1) free = `${name}_${count}`;
    taken.add(free);
    return free;
  });
}
