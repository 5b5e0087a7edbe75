import { SkeinError } from '@skein/protocol';

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). */
const BUSY = [5, 6]; // BUSY, LOCKED
const CORRUPT = [11, 26]; // CORRUPT, NOTADB
const UNAVAILABLE: Readonly<Record<number, string>> = {
  8: 'is read-only',
  10: 'could not be read or written (input/output error)',
  13: 'is full: no space is left',
  14: 'could not be opened',
  23: 'may not be accessed',
};

/**
 * What SQLite raised, as a SkeinError that names the file: `busy` for a lock, `corrupt` for damage, `unavailable` for
 * a full, failing or read-only disk. Anything SQLite did not raise comes back as it is.
 */
export function databaseError(thrown: unknown, path: string): unknown {
  const code = sqliteCode(thrown);
  if (code === undefined) return thrown;
  if (BUSY.includes(code)) {
    return new SkeinError(`The database ${path} is in use by another process: stop that one first`, {
      code: 'busy',
      cause: thrown,
      retryAfterMs: 1_000,
    });
  }
  if (CORRUPT.includes(code)) return corruptDatabase(path, 'SQLite found damage in it', thrown);
  const problem = UNAVAILABLE[code];
  if (problem === undefined) return thrown;
  return new SkeinError(`The database ${path} ${problem}; nothing was written. Free space or repair the disk, then try again`, {
    code: 'unavailable',
    cause: thrown,
    retryAfterMs: 5_000,
  });
}

/** A `corrupt` error that says which file, what is wrong, and what a person can do. */
export function corruptDatabase(path: string, problem: string, cause?: unknown): SkeinError {
  return new SkeinError(
    `The database ${path} is damaged: ${problem}. It was left as it is; restore it (with its -wal and .mark files) from a ` +
      'backup, or move all three aside to begin with an empty one',
    cause === undefined ? { code: 'corrupt' } : { code: 'corrupt', cause },
  );
}

function sqliteCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown) || typeof thrown.errcode !== 'number') return undefined;
  return thrown.errcode & 0xff; // The low byte is the primary code of an extended one.
}
