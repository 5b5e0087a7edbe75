import { dirname } from 'node:path';
import { SkeinError } from '@skein/protocol';

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). */
const BUSY = [5, 6]; // BUSY, LOCKED
const CORRUPT = [11, 26]; // CORRUPT, NOTADB
const UNAVAILABLE: Readonly<Record<number, { readonly problem: string; readonly fix: 'rights' | 'disk' }>> = {
  8: { problem: 'is read-only for this user', fix: 'rights' },
  10: { problem: 'could not be read or written (input/output error)', fix: 'disk' },
  13: { problem: 'is full: no space is left', fix: 'disk' },
  14: { problem: 'could not be opened', fix: 'rights' },
  23: { problem: 'may not be accessed', fix: 'rights' },
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
  const known = UNAVAILABLE[code];
  if (known === undefined) return thrown;
  const { problem, fix } = known;
  // Its folder too: SQLite keeps files beside it.
  const advice = {
    rights: `Give this user the right to write the folder ${dirname(path)} and the files in it`,
    disk: 'Free space or repair the disk',
  };
  return new SkeinError(`The database ${path} ${problem}; nothing was written. ${advice[fix]}, then try again`, {
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
