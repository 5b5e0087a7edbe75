import { resolve } from 'node:path';
import { defineTool, Scope, type Tool } from '@skein/agent';
import { type Json, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { dbQueryExamples, dbSchemaExamples } from '../examples.ts';
import { containsPath } from '../jail.ts';
import type { Database } from './database.ts';
import type { DatabaseConfig } from './database-config.ts';
import { parsePostgresAddress } from './postgres-address.ts';
import { PostgresDatabase } from './postgres-database.ts';
import { SqliteDatabase } from './sqlite-database.ts';

export interface DatabaseToolsOptions {
  readonly databases: Readonly<Record<string, DatabaseConfig>>;
  /** Where relative paths of SQLite files begin. */
  readonly root: string;
  /** Files and folders that are no database for tools, whatever the configuration says. */
  readonly hidden: readonly string[];
  /** Where passwords are looked up by name. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Tools, and what they hold open until they are disposed of. */
export interface DatabaseTools extends AsyncDisposable {
  readonly tools: readonly Tool[];
}

const MAX_COLUMNS = 4_000;
const MAX_SCHEMA_BYTES = 262_144;

interface Source {
  readonly name: string;
  readonly config: DatabaseConfig;
  readonly database: Database;
}

/**
 * `db_query` and `db_schema` over all configured databases; no tools where there are none. `db_query` only reads unless a
 * database may be written, and gives `{ database, columns, rows, rowCount, changed, truncated, note, ms }`. Nothing is
 * opened before the first call.
 * @throws SkeinError `unauthenticated` when a variable that should hold a password is not set, `denied` for a hidden file.
 */
export function createDatabaseTools(options: DatabaseToolsOptions): DatabaseTools {
  const sources = Object.entries(options.databases).map(([name, config]) => openSource(name, config, options));
  const [first, ...others] = sources.map(({ name }) => name);
  const tools =
    first === undefined ? [] : [createQuery(sources, [first, ...others]), createSchema(sources, [first, ...others])];
  return {
    tools,
    async [Symbol.asyncDispose]() {
      await Promise.all(sources.map(({ database }) => database[Symbol.asyncDispose]()));
    },
  };
}

function openSource(name: string, config: DatabaseConfig, options: DatabaseToolsOptions): Source {
  const { url, passwordEnv, write, timeoutMs } = config;
  if (url.startsWith('sqlite:')) {
    if (passwordEnv !== undefined) {
      throw new SkeinError(`tools.databases.${name}.passwordEnv means nothing for SQLite; remove it`, { code: 'invalid' });
    }
    const file = resolve(options.root, url.slice('sqlite:'.length));
    if (options.hidden.some((path) => containsPath(resolve(path), file))) {
      throw new SkeinError(`tools.databases.${name} is a file of this node, which no tool may touch`, { code: 'denied' });
    }
    return { name, config, database: new SqliteDatabase({ name, file, write }) };
  }
  const address = parsePostgresAddress(url);
  const fromEnvironment = passwordEnv === undefined ? undefined : options.environment[passwordEnv];
  if (passwordEnv !== undefined && !fromEnvironment) {
    throw new SkeinError(`${passwordEnv}, which tools.databases.${name}.passwordEnv names, is not set`, {
      code: 'unauthenticated',
    });
  }
  const password = fromEnvironment ?? address.password;
  return { name, config, database: new PostgresDatabase({ name, address, password, write, timeoutMs }) };
}

type Names = readonly [string, ...string[]];

function choice(names: Names) {
  const schema = z.enum(names).describe('Which database.');
  return names.length === 1 ? schema.default(names[0]) : schema;
}

function createQuery(sources: readonly Source[], names: Names): Tool {
  const writable = sources.some(({ config }) => config.write);
  const listed = sources.map(
    ({ name, database, config }) => `${name} (${database.kind}${config.write ? ', may be changed' : ''})`,
  );
  const input = z.object({
    sql: z.string().min(1).max(20_000).describe('One statement; values stand as ? in SQLite and $1, $2 in PostgreSQL.'),
    params: z
      .array(z.union([z.string().max(100_000), z.number(), z.boolean(), z.null()]))
      .max(100)
      .default([])
      .describe('The values, in order.'),
    database: choice(names),
    limit: z.int().min(1).max(5_000).optional().describe('The most rows to return.'),
  });
  return defineTool({
    name: 'db_query',
    description: `Runs one SQL statement${writable ? '' : ', which may only read,'} in a database: ${listed.join(', ')}.`.slice(
      0,
      2_000,
    ),
    input,
    effect: writable ? 'at-most-once' : 'read',
    untrusted: true,
    examples: dbQueryExamples,
    async run({ sql, params, database: name, limit }, context) {
      const startedAt = performance.now();
      const { config, database } = find(sources, name);
      using scope = new Scope({ parent: context.signal, timeoutMs: config.timeoutMs, what: `The statement in ${name}` });
      const bounds = { maxRows: Math.min(limit ?? config.maxRows, config.maxRows), maxBytes: config.maxBytes };
      const result = await database.query({ sql, params, ...bounds }, scope.signal);
      return {
        database: name,
        columns: result.columns,
        rows: result.rows,
        rowCount: result.rows.length,
        ...(result.changed === null ? {} : { changed: result.changed }),
        truncated: result.cut !== null,
        ...(result.cut === null ? {} : { note: result.cut }),
        ms: Math.round(performance.now() - startedAt),
      };
    },
  });
}

function createSchema(sources: readonly Source[], names: Names): Tool {
  const input = z.object({
    table: z.string().min(1).max(200).optional().describe('Only this table or view.'),
    database: choice(names),
  });
  return defineTool({
    name: 'db_schema',
    description: `Lists the tables, views and columns of a database: ${names.join(', ')}.`.slice(0, 2_000),
    input,
    effect: 'read',
    untrusted: true,
    examples: dbSchemaExamples,
    async run({ table, database: name }, context) {
      const { config, database } = find(sources, name);
      using scope = new Scope({ parent: context.signal, timeoutMs: config.timeoutMs, what: `The list of tables in ${name}` });
      const statement = {
        sql: database.schemaSql,
        params: [table ?? ''],
        maxRows: MAX_COLUMNS,
        maxBytes: MAX_SCHEMA_BYTES,
      };
      const { rows, cut } = await database.query(statement, scope.signal);
      if (table !== undefined && rows.length === 0) {
        throw new SkeinError(`The database ${name} has no table "${table}"; db_schema without a table lists them`, {
          code: 'not-found',
        });
      }
      const tables = groupByTable(rows);
      return { database: name, kind: database.kind, count: tables.length, tables, truncated: cut !== null };
    },
  });
}

function find(sources: readonly Source[], name: string): Source {
  const found = sources.find((source) => source.name === name);
  if (found === undefined) throw new SkeinError(`There is no database "${name}"`, { code: 'not-found' });
  return found;
}

/** `{ name, kind, columns }` a table, each column in a line: `id INTEGER key`, `item TEXT required`. */
function groupByTable(rows: readonly { readonly [column: string]: Json }[]): Json[] {
  const tables = new Map<string, { name: string; kind: Json; columns: string[] }>();
  for (const row of rows) {
    const name = String(row.table);
    const table = tables.get(name) ?? { name, kind: row.kind ?? null, columns: [] };
    tables.set(name, table);
    const marks = [row.type, row.key === 1 ? 'key' : row.required === 1 ? 'required' : ''];
    table.columns.push([row.column, ...marks].filter((word) => word !== '' && word !== null).join(' '));
  }
  return [...tables.values()];
}
