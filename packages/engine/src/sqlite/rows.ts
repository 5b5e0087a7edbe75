import { crc32 } from 'node:zlib';
import { SkeinError } from '@skein/protocol';
import type { Row, SqlValue } from './statements.ts';

/** A text column. @throws SkeinError `corrupt` when it holds something else. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw wrongColumn(column, 'text', value);
  return value;
}

/** An integer column. @throws SkeinError `corrupt` when it holds something else. */
export function integerOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongColumn(column, 'an integer', value);
  return value;
}

/**
 * A checksum over a row's values, to be stored beside them: SQLite's own checks see the structure of a page, not the
 * bytes of a text. Against decay of the disk, not against an attacker.
 */
export function rowChecksum(values: readonly SqlValue[]): number {
  return crc32(JSON.stringify(values, (_, value: unknown) => asStored(value)));
}

/** @throws SkeinError `corrupt` when the row's `sum` column is not the checksum of the values. */
export function verifyRow(row: Row, what: string, values: readonly SqlValue[]): void {
  if (row.sum !== rowChecksum(values)) {
    throw new SkeinError(
      `${what} is damaged in the database: its checksum does not match. Restore the database from a backup`,
      {
        code: 'corrupt',
      },
    );
  }
}

function asStored(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  // Half of a surrogate pair has no UTF-8: SQLite keeps U+FFFD in its place, and that is what is read.
  return typeof value === 'string' ? value.toWellFormed() : value;
}

function wrongColumn(column: string, expected: string, value: unknown): SkeinError {
  return new SkeinError(`The database holds ${typeof value} where ${expected} belongs (column ${column}): it is damaged`, {
    code: 'corrupt',
  });
}
