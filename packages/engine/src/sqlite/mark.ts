import { hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const BYTES = 128;
const NO_DIGEST = '-'.repeat(64);

/** What a mark says of its database. */
export interface Mark {
  /** Commits the file had, at least: never more than are durable. */
  readonly commits: number;
  /** SHA-256 of the database file as it was closed; undefined while it is open or was not closed in order. */
  readonly digest: string | undefined;
}

/**
 * The small file beside a database that remembers it existed, how many commits it had, and, once closed, its digest.
 * It is how a missing, emptied or shortened database is told from a new one: SQLite itself drops what follows a damaged
 * frame of its write-ahead log without a word.
 */
export class MarkFile {
  readonly #descriptor: number;

  /** Opens or creates it, mode 0600; a created one is on the disk, name and all, before this returns. */
  constructor(path: string, mark: Mark) {
    this.#descriptor = openSync(path, 'a', 0o600);
    closeSync(this.#descriptor);
    this.#descriptor = openSync(path, 'r+');
    try {
      this.write(mark, { sync: true });
      syncDirectory(dirname(path));
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Overwrites in place. Without `sync` a power cut may bring back an older mark, which only lowers the bound. */
  write(mark: Mark, options: { readonly sync: boolean }): void {
    writeSync(this.#descriptor, formatMark(mark), 0, 'latin1');
    if (options.sync) fsyncSync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** The mark at a path: undefined when there is none, 'damaged' when it does not parse. */
export function readMark(path: string): Mark | 'damaged' | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
    throw thrown;
  }
  return parseMark(text);
}

function formatMark(mark: Mark): string {
  const body = `skein-db 1 ${String(mark.commits).padStart(16, '0')} ${mark.digest ?? NO_DIGEST} `;
  return `${body}${hash('sha256', body).slice(0, BYTES - body.length - 1)}\n`;
}

function parseMark(text: string): Mark | 'damaged' {
  const [, , commits = '', digest = ''] = text.split(' ');
  const mark = { commits: Number(commits), digest: digest === NO_DIGEST ? undefined : digest };
  return Number.isSafeInteger(mark.commits) && formatMark(mark) === text ? mark : 'damaged';
}

function syncDirectory(path: string): void {
  if (process.platform === 'win32') return; // A directory cannot be opened there; NTFS journals names by itself.
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
