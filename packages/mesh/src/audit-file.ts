import { closeSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync, openSync, renameSync, writeSync } from 'node:fs';

/**
 * The file of an audit log that is written. After a sync that failed, the system holds for clean what it could not write
 * and the next sync says nothing of it: so all since the last good one is kept, and written again before the next.
 */
export class AuditFile {
  #path: string;
  readonly #file: number;
  #bytes: number;
  /** What was written since the last sync that succeeded. The log writes no more while a sync has failed, so it stays small. */
  #unsynced: Buffer[] = [];
  #syncedBytes: number;
  #syncing = false;
  #failed = false;
  #closed = false;

  /** Opens or makes the file, mode 0600. */
  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'a', 0o600);
    this.#bytes = fstatSync(this.#file).size;
    this.#syncedBytes = this.#bytes;
  }

  /** How long it is. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The last sync failed: `sync` before anything more is written. */
  get isBehind(): boolean {
    return this.#failed;
  }

  /** A sync is under way. */
  get isSyncing(): boolean {
    return this.#syncing;
  }

  /** Takes off what is beyond; it is off the disk when this returns. */
  truncate(bytes: number): void {
    ftruncateSync(this.#file, bytes);
    fdatasyncSync(this.#file);
    this.#bytes = bytes;
    this.#syncedBytes = bytes;
  }

  /** Gives it this path, once. */
  moveTo(path: string): void {
    if (path === this.#path) return;
    renameSync(this.#path, path);
    this.#path = path;
  }

  /** Writes at the end; how many bytes the disk took, and what it said if those are not all. */
  write(text: string): { readonly taken: number; readonly error?: unknown } {
    const bytes = Buffer.from(text);
    let taken = 0;
    try {
      while (taken < bytes.length) taken += writeSync(this.#file, bytes, taken);
      return { taken };
    } catch (error) {
      return { taken, error };
    } finally {
      this.#bytes += taken;
      this.#unsynced.push(bytes.subarray(0, taken));
    }
  }

  /** Puts on the disk what is written, beside other work, one at a time. Calls back unless it is closed by then. */
  syncLater(done: (error: unknown) => void): void {
    if (this.#syncing || this.#closed) return;
    this.#syncing = true;
    const upTo = this.#bytes;
    fdatasync(this.#file, (error) => {
      this.#syncing = false;
      if (this.#closed) return;
      if (error === null) this.#synced(upTo);
      else this.#failed = true;
      done(error);
    });
  }

  /** Puts on the disk what is written, and waits for it. */
  sync(): void {
    // What a sync under way will say is not known yet.
    if (this.#failed || this.#syncing) this.#writeAgain();
    try {
      fdatasyncSync(this.#file);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
    this.#failed = false;
    this.#synced(this.#bytes);
  }

  close(): void {
    this.#closed = true;
    // A sync under way may meet another file under this number by now, which does no harm.
    closeSync(this.#file);
  }

  #writeAgain(): void {
    // What is opened for appending writes nowhere else.
    const file = openSync(this.#path, 'r+');
    try {
      let at = this.#syncedBytes;
      for (const bytes of this.#unsynced) {
        for (let from = 0; from < bytes.length; ) from += writeSync(file, bytes, from, bytes.length - from, at + from);
        at += bytes.length;
      }
    } finally {
      closeSync(file);
    }
  }

  #synced(upTo: number): void {
    for (let next = this.#unsynced[0]; next !== undefined && this.#syncedBytes < upTo; next = this.#unsynced[0]) {
      this.#syncedBytes += next.length;
      this.#unsynced.shift();
    }
  }
}
