export { Database } from './sqlite/database.ts';
export { fullTextQuery } from './sqlite/full-text.ts';
export type { Migration } from './sqlite/migrations.ts';
export { type DatabaseOptions, openDatabase } from './sqlite/open-database.ts';
export { integerOf, rowChecksum, textOf, verifyRow } from './sqlite/rows.ts';
export type { Reader, Row, SqlValue, Writer } from './sqlite/statements.ts';
