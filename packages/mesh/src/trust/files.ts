import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { SkeinError } from '@skein/protocol';

/** How long a change waits for another process's change of the same file. */
const LOCK_WAIT_MS = 2_000;
const LOCK_STEP_MS = 5;
/** A lock this old belongs to a process that stands still: changes take milliseconds. */
const LOCK_STALE_MS = 10_000;
/** A lock this old without its holder's number was left by one that was killed while it took it. */
const LOCK_EMPTY_MS = 500;
const DISK_FAULTS = [
  ['ENOSPC', 'is full'],
  ['EDQUOT', 'has no more room for this user'],
  ['EIO', 'failed (input/output error)'],
  ['EROFS', 'is read-only'],
] as const;

/** Makes the directory with mode 0700 when it is not there; a power cut does not take it away again with all that is in it. */
export function ensureDirectory(directory: string): void {
  const missing: string[] = [];
  for (let one = resolve(directory); !existsSync(one); one = dirname(one)) missing.unshift(one);
  for (const one of missing) {
    onDisk(one, () => makeDirectory(one));
    try {
      syncReadable(dirname(one));
    } catch (error) {
      // Taken back: whoever tries again would find it there, and not that it may not last.
      drop(one);
      throw error;
    }
  }
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    // Another process has made it meanwhile.
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** One may make a directory where one may not read: there the system writes the name when it likes. */
function syncReadable(directory: string): void {
  try {
    syncDirectory(directory);
  } catch (error) {
    if (!isErrno(error, 'EACCES')) throw error;
  }
}

/**
 * Replaces a file at once: readers see the old one or the new one, also after a power cut. Mode 0600. Synchronous, for
 * small files that change when a person wants it.
 * @throws SkeinError `unavailable` for a disk that is full, failing or read-only.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeFileDurable(temporary, data);
    onDisk(path, () => renameSync(temporary, path));
  } catch (error) {
    drop(temporary);
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Writes a new file with mode 0600 to the disk. @throws EEXIST when it is there; else as `writeFileAtomic`. */
export function writeFileDurable(path: string, data: string | Uint8Array): void {
  onDisk(path, () => {
    const file = openSync(path, 'wx', 0o600);
    try {
      writeFileSync(file, data);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  });
}

/** Removes a file or an empty directory that nobody needs any more, if the disk lets it: a lock becomes stale, and a temporary name is never used again. */
export function drop(path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) rmdirSync(path);
    else rmSync(path, { force: true });
  } catch {
    // The disk fails. What was asked for was done, or has failed with a word of its own.
  }
}

/** Makes renames and removals in a directory last. @throws SkeinError as `writeFileAtomic`. */
export function syncDirectory(directory: string): void {
  // Windows opens no directories; a rename is journalled there.
  if (process.platform === 'win32') return;
  onDisk(directory, () => {
    const handle = openSync(directory, 'r');
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  });
}

/** Changes something on the disk. @throws SkeinError `unavailable` when that is full, failing or read-only. */
export function onDisk<T>(path: string, change: () => T): T {
  try {
    return change();
  } catch (cause) {
    const [, fault] = DISK_FAULTS.find(([code]) => isErrno(cause, code)) ?? [];
    if (fault === undefined) throw cause;
    throw new SkeinError(`${path} cannot be written: the disk ${fault}. Free space or repair it, then try again`, {
      code: 'unavailable',
      cause,
      retryAfterMs: 5_000,
    });
  }
}

/**
 * The text of a file that only its owner may write, or undefined when there is none.
 * @throws SkeinError `denied` when others may write (with `secret`, read) it, with the command that mends it;
 * `too-large` past `maxBytes`.
 */
export function readOwnFile(
  path: string,
  options: { readonly maxBytes: number; readonly secret: boolean },
): string | undefined {
  const file = openForReading(path);
  if (file === undefined) return undefined;
  try {
    const { mode, size } = fstatSync(file);
    const forbidden = options.secret ? 0o077 : 0o022;
    if (process.platform !== 'win32' && (mode & forbidden) !== 0) {
      throw new SkeinError(
        `${path} may be ${options.secret ? 'read' : 'changed'} by other users of this machine (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
        { code: 'denied' },
      );
    }
    if (size > options.maxBytes) {
      throw new SkeinError(`${path} has ${size} bytes, at most ${options.maxBytes} are read`, { code: 'too-large' });
    }
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** Opened once, so that what is checked is what is read. */
function openForReading(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** True for an error of the file system with this code. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/**
 * Runs a change of a file while no other process changes it. Waits up to 2 s, blocking: the holder needs milliseconds.
 * @throws SkeinError `busy`.
 */
export function withFileLock<T>(path: string, change: () => T): T {
  const lock = `${path}.lock`;
  const until = performance.now() + LOCK_WAIT_MS;
  while (!onDisk(path, () => takeLock(lock))) {
    if (performance.now() > until) {
      throw new SkeinError(`${path} is being changed by another process; if none runs, remove ${lock}`, {
        code: 'busy',
        retryAfterMs: LOCK_WAIT_MS,
      });
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_STEP_MS);
  }
  try {
    return change();
  } finally {
    drop(lock);
  }
}

function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  const stats = statSync(lock, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  const ageMs = Date.now() - stats.mtimeMs;
  if (ageMs > LOCK_STALE_MS || !holderLives(lock, ageMs)) rmSync(lock, { force: true });
  return false;
}

function holderLives(lock: string, ageMs: number): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    // Not written yet, or not a number: its holder is between creating and writing it.
    if (!Number.isSafeInteger(pid) || pid <= 0) return ageMs < LOCK_EMPTY_MS;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isErrno(error, 'ESRCH') && !isErrno(error, 'ENOENT');
  }
}
