import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Identity, type PeerId, SkeinError, signAuditCheckpoint } from '@skein/protocol';
import {
  AUDIT_ARCHIVES_KEPT,
  type AuditChain,
  archivePath,
  auditHash,
  CHAIN_START,
  CONTINUED,
  findAuditHash,
  listArchives,
  verifyAudit,
} from './audit-chain.ts';
import { type AuditEnd, readAuditEnd, writeAuditEnd } from './audit-end.ts';
import { AuditFile } from './audit-file.ts';
import type { Clock } from './clock.ts';
import { onDisk, syncDirectory } from './trust/files.ts';

/** Records that may wait for the disk; beyond, the number of those lost is recorded instead. */
const WAITING_MAX = 10_000;
const FLUSH_MS = 100;
/** After a sync that failed. */
const SYNC_AGAIN_MS = 5_000;
/** After a write that failed, for the number of the lost records to be recorded. */
const WRITE_AGAIN_MS = 5_000;
/** How soon after a record the end is remembered. */
const REMEMBER_MS = 60_000;
/** Bytes at which a file is full, and the next one begins. */
const FILE_BYTES = 16 * 1024 * 1024;
/** Checkpoints made last, of which the hash is known without looking. */
const RECENT_MAX = 64;
const NOTHING: AuditChain = { count: 0, head: CHAIN_START, log: CHAIN_START, first: 1, torn: false, lostFrom: undefined };

/** What happened: who asked for what, and how it ended. Never payloads, keys or message texts. */
export interface AuditRecord {
  readonly event: string;
  readonly peer?: string;
  readonly name?: string;
  readonly method?: string;
  readonly tool?: string;
  readonly reason?: string;
  readonly ms?: number;
  readonly ok?: boolean;
  /** How many more of the kind there were that have no record of their own. */
  readonly count?: number;
}

/** What comparing a log with what another kept of it came to. */
export type AuditComparison = 'fits' | 'does-not-fit' | 'other-log' | 'gone';

export interface AuditLogParts {
  /** The file that is written; full ones stand beside it, the number of their first record behind the same name. */
  readonly path: string;
  /** Where the end is remembered, signed by this node. */
  readonly end?: {
    readonly path: string;
    readonly identity: Identity;
    /** Former keys of this node, by which an end may be signed that was remembered before a rotation. */
    readonly formerIds?: readonly PeerId[];
  };
  /** Bytes at which a file is full; 16 MiB when not given. */
  readonly fileBytes?: number;
  readonly clock: Clock;
  readonly onError: (error: SkeinError) => void;
}

/**
 * An append-only log of JSON lines, each with the hash of the one before: a line changed, taken out or put in shows.
 * Records are written together, a tenth of a second later at most. What the disk does not take is counted, and the
 * count recorded when it takes some again. A full file is put aside and four of those are kept; the chain runs through.
 *
 * With `end`, where it ends is remembered there, signed, when it closes and within a minute of any record: lines taken
 * off the end show as well, but for those of a last minute that ended in a kill. `onCheckpoint` gives out what was
 * remembered, for others to keep who do not stand on the same disk.
 */
export class AuditLog {
  readonly #parts: AuditLogParts;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #waiting: AuditRecord[] = [];
  readonly #listeners = new Set<(checkpoint: string) => void>();
  /** Ends that were remembered, by their count. */
  readonly #recent = new Map<number, AuditEnd>();
  #lost = 0;
  #end: AuditEnd = NOTHING;
  /** Number of the first record in the file that is written. */
  #first = 1;
  #file: AuditFile | undefined;
  /** The file ends inside a line. */
  #torn = false;
  #scheduled = false;
  #releaseAgain: () => void = () => {};
  #rememberedCount = 0;
  #releaseRemember: (() => void) | undefined;
  /** The next sync is to be followed by remembering the end. */
  #rememberDue = false;
  #syncAgain = false;
  #checkpoint: string | undefined;

  constructor(parts: AuditLogParts) {
    this.#parts = parts;
    this.#path = parts.path;
    this.#clock = parts.clock;
  }

  /**
   * Checks the files and opens the last. `witnesses`: ends of this log that others kept.
   * @throws SkeinError `corrupt` naming the line at which the chain breaks; `unavailable` when the disk takes nothing.
   */
  start(witnesses: readonly AuditEnd[] = []): void {
    const { end } = this.#parts;
    const remembered =
      end === undefined ? undefined : readAuditEnd(end.path, new Set([end.identity.id, ...(end.formerIds ?? [])]));
    const chain = verifyAudit(this.#path, [...witnesses, ...(remembered === undefined ? [] : [remembered])]);
    this.#torn = chain.torn;
    this.#first = chain.first;
    this.#setEnd(chain);
    const isRemembered = end !== undefined && remembered?.count === chain.count && remembered.issuer.id === end.identity.id;
    this.#file = this.#open({ lostFrom: chain.lostFrom, sync: !isRemembered && chain.count > 0 });
    if (remembered !== undefined) this.#recent.set(remembered.count, remembered);
    if (isRemembered) {
      this.#rememberedCount = chain.count;
      this.#checkpoint = signAuditCheckpoint(end.identity, remembered);
    } else if (chain.count > 0) {
      // The last life ended without a last word, or under another key.
      this.#remember(this.#end);
    }
    if (chain.lostFrom === undefined) return;
    this.append({ event: 'records-lost', reason: 'the power failed before they were on the disk' });
  }

  #open({ lostFrom, sync }: { readonly lostFrom: number | undefined; readonly sync: boolean }): AuditFile {
    return onDisk(this.#path, () => {
      const file = new AuditFile(this.#path);
      try {
        if (lostFrom !== undefined) file.truncate(lostFrom);
        if (sync) file.sync();
        return file;
      } catch (error) {
        file.close();
        throw error;
      }
    });
  }

  /** The checkpoint made last, if there is one. */
  get checkpoint(): string | undefined {
    return this.#checkpoint;
  }

  /** Calls back with each new checkpoint; the returned function ends that. */
  onCheckpoint(listener: (checkpoint: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Whether this log, which was whole when it was opened, goes on from an end of it that another kept. `other-log`: it is
   * another log than that; `gone`: it has put so much aside since that the record is not kept any more.
   */
  async compare(kept: AuditEnd): Promise<AuditComparison> {
    if (kept.log !== this.#end.log) return 'other-log';
    if (kept.count > this.#end.count) return 'does-not-fit';
    const head = this.#recent.get(kept.count)?.head ?? (await findAuditHash(this.#path, kept.count));
    if (head === undefined) return 'gone';
    return head === kept.head ? 'fits' : 'does-not-fit';
  }

  append(record: AuditRecord): void {
    if (this.#waiting.length >= WAITING_MAX) this.#lost += 1;
    else this.#waiting.push(record);
    this.#flushIn(FLUSH_MS);
  }

  close(): void {
    this.#flush();
    this.#releaseAgain();
    this.#releaseRemember?.();
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      file.sync();
      this.#remember(this.#end);
    } catch (error) {
      this.#failed(error);
    }
    file.close();
    this.#listeners.clear();
  }

  /** Only what is on the disk is remembered, or a power cut would look like tampering. */
  #remember(synced: AuditEnd): void {
    const { end } = this.#parts;
    if (end === undefined || synced.count === this.#rememberedCount) return;
    try {
      this.#checkpoint = writeAuditEnd(end.path, end.identity, { ...synced, atMs: Math.trunc(this.#clock.now()) });
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#rememberedCount = synced.count;
    this.#recent.set(synced.count, synced);
    const [oldest] = this.#recent.keys();
    if (this.#recent.size > RECENT_MAX && oldest !== undefined) this.#recent.delete(oldest);
    for (const listener of this.#listeners) listener(this.#checkpoint);
  }

  #rememberLater(): void {
    if (this.#parts.end === undefined || this.#releaseRemember !== undefined) return;
    this.#releaseRemember = this.#clock.after(REMEMBER_MS, () => {
      this.#releaseRemember = undefined;
      this.#rememberDue = true;
      this.#syncLater();
    });
  }

  /** After a sync that is under way, another one. */
  #syncLater(): void {
    const file = this.#file;
    if (file === undefined || file.isBehind) return;
    if (file.isSyncing) {
      this.#syncAgain = true;
      return;
    }
    const end = this.#rememberDue ? this.#end : undefined;
    this.#rememberDue = false;
    file.syncLater((error) => {
      if (error !== null) {
        this.#rememberDue ||= end !== undefined;
        this.#failed(error);
        this.#flushIn(SYNC_AGAIN_MS);
        return;
      }
      if (end !== undefined) this.#remember(end);
      if (!this.#syncAgain) return;
      this.#syncAgain = false;
      this.#syncLater();
    });
  }

  #flushIn(ms: number): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.after(ms, () => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    this.#releaseAgain();
    if (this.#file === undefined || !this.#catchUp(this.#file) || this.#waiting.length + this.#lost === 0) return;
    this.#beginNext();
    const records: (AuditRecord & { readonly log?: string })[] = this.#waiting.splice(0);
    if (this.#lost > 0) records.push({ event: 'records-lost', count: this.#lost });
    const atMs = this.#clock.now();
    let { count, head } = this.#end;
    if (count > 0 && this.#first === count + 1) records.unshift({ event: CONTINUED, log: this.#end.log });
    const isContinued = records[0]?.event === CONTINUED;
    const entries = records.map((record) => {
      const entry = JSON.stringify({ seq: count + 1, atMs, ...record, previous: head });
      count += 1;
      head = auditHash(entry);
      return entry;
    });
    // A line cut off by a crash or a full disk is closed, so that the next one begins on its own.
    const { taken, error } = this.#file.write(`${this.#torn ? '\n' : ''}${entries.join('\n')}\n`);
    if (error !== undefined) this.#failed(error);
    const before = this.#end.count;
    this.#took(entries, taken - (this.#torn ? 1 : 0));
    if (this.#end.count > before) this.#rememberLater();
    const missing = count - this.#end.count;
    if (missing > 0) {
      // The record of the loss itself is none, and neither is that of the next file.
      this.#lost += missing - (this.#lost > 0 ? 1 : 0) - (isContinued && this.#end.count === before ? 1 : 0);
      // Beside what is appended meanwhile, which need not wait so long.
      this.#releaseAgain = this.#clock.after(WRITE_AGAIN_MS, () => this.#flush());
      return;
    }
    this.#lost = 0;
    this.#syncLater();
  }

  /** False while what was written before cannot be put on the disk: then nothing more is written, and records wait. */
  #catchUp(file: AuditFile): boolean {
    if (!file.isBehind) return true;
    try {
      file.sync();
      this.#syncLater();
      return true;
    } catch (error) {
      this.#failed(error);
      this.#flushIn(SYNC_AGAIN_MS);
      return false;
    }
  }

  /** Puts a full file aside and begins the next one. Where that fails, the full one is gone on with until it succeeds. */
  #beginNext(): void {
    const { fileBytes = FILE_BYTES } = this.#parts;
    const file = this.#file;
    if (file === undefined || this.#torn || file.bytes < fileBytes || this.#first > this.#end.count) return;
    try {
      file.sync();
      file.moveTo(archivePath(this.#path, this.#first));
      // First the old file under its new name, then another under the old one.
      syncDirectory(dirname(this.#path));
      this.#file = new AuditFile(this.#path);
      this.#first = this.#end.count + 1;
      file.close();
      for (const old of listArchives(this.#path).slice(0, -AUDIT_ARCHIVES_KEPT)) rmSync(old);
      syncDirectory(dirname(this.#path));
    } catch (error) {
      this.#failed(error);
    }
  }

  #setEnd({ count, head, log }: AuditEnd): void {
    this.#end = { count, head, log };
  }

  /** Moves the chain on by the entries that are whole among the first `bytes` written. */
  #took(entries: readonly string[], bytes: number): void {
    if (bytes < 0) return;
    let at = 0;
    this.#torn = false;
    for (const entry of entries) {
      const end = at + Buffer.byteLength(entry);
      this.#torn = bytes > at && bytes <= end;
      if (bytes < end) return;
      const head = auditHash(entry);
      const { count, log } = this.#end;
      this.#setEnd({ count: count + 1, head, log: count === 0 ? head : log });
      at = end + 1;
    }
  }

  #failed(cause: unknown): void {
    this.#parts.onError(new SkeinError(`The audit log ${this.#path} cannot be written`, { code: 'unavailable', cause }));
  }
}
