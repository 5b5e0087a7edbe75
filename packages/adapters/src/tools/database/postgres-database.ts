import net from 'node:net';
import { untilAborted } from '@skein/agent';
import { abortReason, type ErrorCode, SkeinError } from '@skein/protocol';
import type pg from 'pg';
import type { Database, QueryResult, Statement } from './database.ts';
import type { PostgresAddress } from './postgres-address.ts';
import { ResultRows } from './result-rows.ts';

export interface PostgresDatabaseOptions {
  /** What to call it in messages. */
  readonly name: string;
  readonly address: PostgresAddress;
  readonly password: string | undefined;
  readonly write: boolean;
  /** The server stops a statement after this long whatever becomes of us. */
  readonly timeoutMs: number;
}

type Driver = typeof pg;

/** Statements under way, each with a connection of its own. */
const MAX_CONNECTIONS = 4;
/** How long the server may take to hear that a statement is to stop. */
const CANCEL_MS = 2_000;
const LOOK_MS = 25;
/** Bytes on the wire for one byte of JSON, generously: names, lengths and escapes differ. */
const WIRE_FACTOR = 4;
const WIRE_BYTES_MIN = 1_048_576;
/** Types (pg_type.dat) that stay the text the server writes: dates and times, which have no zone of ours. */
const TEXT_TYPES = new Set([1082, 1083, 1114, 1184, 1186, 1266]);
const INT8 = 20;
const CURSOR = 'skein_rows';

const SCHEMA_SQL = `
  SELECT CASE WHEN t.table_schema = 'public' THEN t.table_name ELSE t.table_schema || '.' || t.table_name END AS "table",
    CASE t.table_type WHEN 'VIEW' THEN 'view' ELSE 'table' END AS kind, c.column_name AS "column", c.data_type AS type,
    CASE c.is_nullable WHEN 'NO' THEN 1 ELSE 0 END AS required, CASE WHEN EXISTS (
      SELECT 1 FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      WHERE i.indisprimary AND a.attname = c.column_name
        AND i.indrelid = to_regclass(quote_ident(t.table_schema) || '.' || quote_ident(t.table_name))
    ) THEN 1 ELSE 0 END AS "key"
  FROM information_schema.tables t JOIN information_schema.columns c USING (table_schema, table_name)
  WHERE t.table_schema NOT IN ('pg_catalog', 'information_schema')
    AND ($1 = '' OR lower(t.table_name) = lower($1) OR lower(t.table_schema || '.' || t.table_name) = lower($1))
  ORDER BY 1, c.ordinal_position`;

/** A database of a PostgreSQL server, by the optional package `pg`; read only unless `write`. */
export class PostgresDatabase implements Database {
  readonly kind = 'PostgreSQL';
  readonly schemaSql = SCHEMA_SQL;
  readonly #options: PostgresDatabaseOptions;
  readonly #closing = new AbortController();
  #connections = 0;

  constructor(options: PostgresDatabaseOptions) {
    this.#options = options;
  }

  async query(statement: Statement, caller: AbortSignal): Promise<QueryResult> {
    const { name } = this.#options;
    if (this.#connections >= MAX_CONNECTIONS) {
      throw new SkeinError(`${MAX_CONNECTIONS} statements run in the database ${name} already`, {
        code: 'busy',
        retryAfterMs: 500,
      });
    }
    this.#connections += 1;
    const signal = AbortSignal.any([caller, this.#closing.signal]);
    try {
      return await this.#connected(await importDriver(), signal, (connection) => this.#run(connection, statement));
    } finally {
      this.#connections -= 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SkeinError(`The database ${this.#options.name} is closed`, { code: 'unavailable' }));
  }

  async #connected<T>(driver: Driver, signal: AbortSignal, work: (open: OpenConnection) => Promise<T>): Promise<T> {
    if (signal.aborted) throw abortReason(signal);
    const open = this.#open(driver);
    try {
      await untilAborted(open.client.connect(), signal);
      return await untilAborted(work(open), signal);
    } catch (error) {
      if (signal.aborted) {
        await this.#cancel(driver, open.client);
        throw error;
      }
      throw open.overrun() ?? this.#describe(error);
    } finally {
      open.close();
    }
  }

  #open(driver: Driver): OpenConnection {
    const { address, password, timeoutMs } = this.#options;
    const { tls, ...where } = address;
    const socket = new net.Socket();
    const client = new driver.Client({
      ...where,
      password: password ?? '',
      ssl: tls === 'off' ? false : { rejectUnauthorized: tls === 'verified', servername: address.host },
      stream: () => socket,
      connectionTimeoutMillis: timeoutMs,
      fallback_application_name: 'skein',
      types: { getTypeParser: (type: number, format?: 'text' | 'binary') => parserOf(driver, type, format) },
    });
    return new OpenConnection({ driver, client, socket, name: this.#options.name });
  }

  async #run(open: OpenConnection, statement: Statement): Promise<QueryResult> {
    const { write, timeoutMs } = this.#options;
    const { sql, params, ...limits } = statement;
    open.allow(Math.max(WIRE_BYTES_MIN, limits.maxBytes * WIRE_FACTOR));
    await open.client.query(write ? 'BEGIN' : 'BEGIN READ ONLY');
    await open.client.query(`SET LOCAL statement_timeout = ${timeoutMs}`);
    if (write) {
      const result = await open.rows({ sql, params }, limits);
      await open.client.query('COMMIT');
      return result;
    }
    // A cursor is for queries alone: no COPY to a file or program, no DO, no end of the transaction that only reads.
    await open.rows({ sql: `DECLARE ${CURSOR} NO SCROLL CURSOR FOR ${sql}`, params }, limits);
    const result = await open.rows({ sql: `FETCH FORWARD ${limits.maxRows + 1} FROM ${CURSOR}`, params: [] }, limits);
    return { ...result, changed: null };
  }

  /** Asks the server to stop what a connection runs; leaves it to the server's own limit when it does not hear. */
  async #cancel(driver: Driver, running: pg.Client): Promise<void> {
    // Proven by use: the driver keeps the server's process id there; its types do not say so.
    const pid = 'processID' in running ? running.processID : undefined;
    if (typeof pid !== 'number') return;
    const open = this.#open(driver);
    const signal = AbortSignal.timeout(CANCEL_MS);
    try {
      await untilAborted(open.client.connect(), signal);
      await untilAborted(open.client.query('SELECT pg_cancel_backend($1)', [pid]), signal);
    } catch {
      // The server is gone or full; statement_timeout ends it there.
    } finally {
      open.close();
    }
  }

  #describe(error: unknown): SkeinError {
    if (error instanceof SkeinError) return error;
    const { name, password } = this.#options;
    const text = error instanceof Error ? error.message : String(error);
    const shown = password === undefined || password === '' ? text : text.replaceAll(password, '…');
    const state = error instanceof Error && 'code' in error ? String(error.code) : '';
    // Without the cause: what a driver keeps in its errors is not known to hold no password.
    return new SkeinError(`The database ${name} refused: ${shown || state}`, { code: codeOf(state) });
  }
}

/** One connection and what has come over it. */
class OpenConnection {
  readonly client: pg.Client;
  readonly #driver: Driver;
  readonly #socket: net.Socket;
  readonly #name: string;
  #overrun: SkeinError | undefined;
  #look: NodeJS.Timeout | undefined;

  constructor(parts: {
    readonly driver: Driver;
    readonly client: pg.Client;
    readonly socket: net.Socket;
    readonly name: string;
  }) {
    this.client = parts.client;
    this.#driver = parts.driver;
    this.#socket = parts.socket;
    this.#name = parts.name;
    // What fails is told by the query that fails.
    this.client.on('error', () => undefined);
  }

  /** Cuts the connection once more bytes than this have come: the driver gathers a whole row before it shows it. */
  allow(bytes: number): void {
    this.#look = setInterval(() => {
      if (this.#socket.bytesRead <= bytes) return;
      this.#overrun = new SkeinError(`The database ${this.#name} gives more than ${bytes} bytes; ask for less`, {
        code: 'too-large',
      });
      this.#socket.destroy();
    }, LOOK_MS);
  }

  overrun(): SkeinError | undefined {
    return this.#overrun;
  }

  rows(
    { sql, params }: Pick<Statement, 'sql' | 'params'>,
    limits: Pick<Statement, 'maxRows' | 'maxBytes'>,
  ): Promise<QueryResult> {
    const { promise, resolve, reject } = Promise.withResolvers<QueryResult>();
    // `extended`: the protocol that takes one statement at a time, with its values apart.
    const config = { text: sql, values: [...params], rowMode: 'array' as const, queryMode: 'extended' };
    const query = new this.#driver.Query<unknown[]>(config);
    let rows: ResultRows | undefined;
    let full = false;
    query.on('row', (row, result) => {
      rows ??= new ResultRows(namesOf(result), limits);
      if (!full) full = !rows.add(row);
    });
    query.on('error', reject);
    query.on('end', (result) => {
      const changed = /^(INSERT|UPDATE|DELETE|MERGE)$/.test(result.command) ? result.rowCount : null;
      resolve((rows ?? new ResultRows(namesOf(result), limits)).result(changed));
    });
    this.client.query(query);
    return promise;
  }

  close(): void {
    clearInterval(this.#look);
    this.#socket.destroy();
  }
}

function namesOf(result: { readonly fields?: readonly { readonly name: string }[] } | undefined): string[] {
  return (result?.fields ?? []).map(({ name }) => name);
}

function parserOf(driver: Driver, type: number, format: 'text' | 'binary' | undefined) {
  if (TEXT_TYPES.has(type)) return (text: string) => text;
  if (type === INT8) return (text: string) => BigInt(text);
  return format === 'binary' ? driver.types.getTypeParser(type, 'binary') : driver.types.getTypeParser(type, 'text');
}

async function importDriver(): Promise<Driver> {
  try {
    return (await import('pg')).default;
  } catch (error) {
    throw new SkeinError('A PostgreSQL database needs the package pg: run npm install pg beside Skein', {
      code: 'unsupported',
      cause: error,
    });
  }
}

/** By SQLSTATE (PostgreSQL, appendix A), or the code of a failed connection. */
function codeOf(state: string): ErrorCode {
  if (state === '25006' || state === '42501') return 'denied';
  if (state.startsWith('28')) return 'unauthenticated';
  if (state === '57014') return 'deadline-exceeded';
  if (state === '53200' || state.startsWith('54')) return 'too-large';
  if (state === '55P03' || state.startsWith('40') || state.startsWith('53')) return 'busy';
  if (state.startsWith('08') || state.startsWith('57')) return 'unavailable';
  return /^[0-9A-Z]{5}$/.test(state) ? 'invalid' : 'unavailable';
}
