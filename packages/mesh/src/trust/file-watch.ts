import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { SkeinError } from '@skein/protocol';
import type { Clock } from '../clock.ts';

/** How often the file is looked at, whether or not the system reports its changes. */
const POLL_MS = 500;
/** A change must stand this long before it is read: an editor may write the file in pieces. */
const SETTLE_MS = 50;
/** An editor may take the file away for a moment; missing this long, it is gone. */
const GONE_MS = 400;

export interface FileWatchParts {
  /** It need not exist, but its directory must. */
  readonly path: string;
  readonly clock: Clock;
  /**
   * Somebody else has changed the file, and it has stood for a moment. What it throws goes to `onError`, once for each
   * change; a fault that may pass has it called again.
   */
  readonly onChanged: () => void;
  readonly onError: (error: SkeinError) => void;
}

/** Notices within a second that others have changed a file, taken it away or put it there. */
export class FileWatch {
  readonly #parts: FileWatchParts;
  /** Modification time, size and inode of the file last looked at. */
  #seen = '';
  /** The state of the file of which a fault was told. */
  #reported: string | undefined;
  /** The change that is waited for to settle. */
  #pending: { readonly signature: string; readonly sinceMs: number } | undefined;
  #releaseSettle: () => void = () => {};
  #watcher: FSWatcher | undefined;
  #releasePoll: () => void = () => {};
  #closed = false;

  constructor(parts: FileWatchParts) {
    this.#parts = parts;
  }

  /** Begins to watch. Call `markSeen` before the file is first read. */
  start(): void {
    this.#watch();
    this.#poll();
  }

  /** The file as it is now is known: only what changes from here on counts. */
  markSeen(): void {
    this.#seen = this.#signature();
  }

  close(): void {
    this.#closed = true;
    this.#releasePoll();
    this.#releaseSettle();
    this.#watcher?.close();
  }

  #look(): void {
    if (this.#closed) return;
    const { clock } = this.#parts;
    const signature = this.#signature();
    if (signature === this.#seen) {
      this.#pending = undefined;
      return;
    }
    const nowMs = clock.monotonicMs();
    if (this.#pending?.signature !== signature) this.#pending = { signature, sinceMs: nowMs };
    const leftMs = this.#pending.sinceMs + (signature === '' ? GONE_MS : SETTLE_MS) - nowMs;
    this.#releaseSettle();
    if (leftMs <= 0) this.#settled();
    else this.#releaseSettle = clock.after(leftMs, () => this.#safely(() => this.#look()));
  }

  #settled(): void {
    const signature = this.#signature();
    if (signature === this.#seen) return;
    const before = this.#seen;
    this.#pending = undefined;
    this.#seen = signature;
    try {
      this.#parts.onChanged();
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      // What is wrong with the file stays so until somebody changes it; what the system had against reading it may pass.
      if (error.mayPass && this.#seen === signature) this.#seen = before;
      if (this.#reported === signature) return;
      this.#reported = signature;
      throw error;
    }
    this.#reported = undefined;
  }

  #signature(): string {
    const stats = statSync(this.#parts.path, { throwIfNoEntry: false, bigint: true });
    return stats === undefined ? '' : `${stats.mtimeNs}/${stats.size}/${stats.ino}/${stats.mode}`;
  }

  /** The directory is watched, not the file: a rename onto the file would end a watch of it. */
  #watch(): void {
    const { path, onError } = this.#parts;
    try {
      this.#watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
        if (!this.#closed && (name === null || name === basename(path))) this.#safely(() => this.#look());
      });
      // The poll goes on without it.
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch (error) {
      onError(SkeinError.from(error));
    }
  }

  #poll(): void {
    if (this.#closed) return;
    this.#releasePoll = this.#parts.clock.after(POLL_MS, () => {
      this.#safely(() => this.#look());
      this.#poll();
    });
  }

  #safely(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#parts.onError(SkeinError.from(error));
    }
  }
}
