import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { SkeinError } from '@skein/protocol';

/** How long a change waits for another process's change of the same file. */
const LOCK_WAIT_MS = 2_000;
const LOCK_STEP_MS = 5;
/** A lock this old belongs to a process that stands still: changes take milliseconds. */
const LOCK_STALE_MS = 10_000;
/** A lock this old without its holder's number was left by one that was killed while it took it. */
const LOCK_EMPTY_MS = 500;

/** Makes the directory with mode 0700 when it is not there. */
export function ensureDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/**
 * Replaces a file at once: readers see the old one or the new one, also after a power cut. Mode 0600. Synchronous, for
 * small files that change when a person wants it.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeFileDurable(temporary, data);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Writes a new file with mode 0600 to the disk. @throws EEXIST when it is there. */
export function writeFileDurable(path: string, data: string | Uint8Array): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, data);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes renames and removals in a directory last. */
export function syncDirectory(directory: string): void {
  // Windows opens no directories; a rename is journalled there.
  if (process.platform === 'win32') return;
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
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
  while (!takeLock(lock)) {
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
    rmSync(lock, { force: true });
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
