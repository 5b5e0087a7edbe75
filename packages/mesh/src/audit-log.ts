import { createHash } from 'node:crypto';
import { closeSync, existsSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { Clock } from './clock.ts';

/** Records that may wait for the disk; beyond, the number of those lost is recorded instead. */
const WAITING_MAX = 10_000;
const FLUSH_MS = 100;
const FIRST = '0'.repeat(64);
const BEGINNING = '{"seq":';
const READ_BYTES = 1024 * 1024;
/** Bytes of one line; no record is near it. */
const LINE_BYTES_MAX = 1024 * 1024;
const NEWLINE = 0x0a;

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

/** Where a chain ends. Kept elsewhere, it shows whether lines were taken off the end of the file later. */
export interface AuditEnd {
  /** Lines of the chain. */
  readonly count: number;
  /** Hash of the last of them. */
  readonly last: string;
}

const line = z.looseObject({ seq: z.int().positive(), previous: z.string().length(64) });

/**
 * An append-only file of JSON lines, each with the hash of the one before: a line changed, taken out or put in shows.
 * Records are written together, a tenth of a second later at most. What the disk does not take is counted, and the
 * count recorded when it takes some again.
 */
export class AuditLog {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onError: (error: SkeinError) => void;
  readonly #waiting: AuditRecord[] = [];
  #lost = 0;
  #end: AuditEnd = { count: 0, last: FIRST };
  #file: number | undefined;
  /** The file ends inside a line. */
  #torn = false;
  #scheduled = false;

  constructor(parts: { readonly path: string; readonly clock: Clock; readonly onError: (error: SkeinError) => void }) {
    this.#path = parts.path;
    this.#clock = parts.clock;
    this.#onError = parts.onError;
  }

  /** Checks the file and opens it. @throws SkeinError `corrupt` naming the line at which the chain breaks. */
  start(): void {
    const { torn, ...end } = verifyAudit(this.#path);
    this.#end = end;
    this.#torn = torn;
    this.#file = openSync(this.#path, 'a', 0o600);
  }

  append(record: AuditRecord): void {
    if (this.#waiting.length >= WAITING_MAX) this.#lost += 1;
    else this.#waiting.push(record);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.after(FLUSH_MS, () => this.#flush());
  }

  close(): void {
    this.#flush();
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      fdatasyncSync(file);
    } catch (error) {
      this.#failed(error);
    }
    closeSync(file);
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#file === undefined || this.#waiting.length === 0) return;
    const records = this.#waiting.splice(0);
    if (this.#lost > 0) records.push({ event: 'records-lost', count: this.#lost });
    const atMs = this.#clock.now();
    let { count, last } = this.#end;
    const entries = records.map((record) => {
      const entry = JSON.stringify({ seq: count + 1, atMs, ...record, previous: last });
      count += 1;
      last = digest(entry);
      return entry;
    });
    // A line cut off by a crash or a full disk is closed, so that the next one begins on its own.
    const written = this.#write(this.#file, `${this.#torn ? '\n' : ''}${entries.join('\n')}\n`);
    this.#took(entries, written - (this.#torn ? 1 : 0));
    const missing = count - this.#end.count;
    if (missing > 0) {
      // The record of the loss itself is none.
      this.#lost += missing - (this.#lost > 0 ? 1 : 0);
      return;
    }
    this.#lost = 0;
    fdatasync(this.#file, (error) => {
      // Closed meanwhile: close() has synced.
      if (error !== null && this.#file !== undefined) this.#failed(error);
    });
  }

  /** How many bytes the disk took. */
  #write(file: number, text: string): number {
    const bytes = Buffer.from(text);
    let at = 0;
    try {
      while (at < bytes.length) at += writeSync(file, bytes, at);
    } catch (error) {
      this.#failed(error);
    }
    return at;
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
      this.#end = { count: this.#end.count + 1, last: digest(entry) };
      at = end + 1;
    }
  }

  #failed(cause: unknown): void {
    this.#onError(new SkeinError(`The audit log ${this.#path} cannot be written`, { code: 'unavailable', cause }));
  }
}

/**
 * Follows the chain of an audit file: whatever was changed, put in, taken out or moved shows, but for lines taken off
 * the end; compare the end with a remembered one for those. `torn` when the file ends inside a line, as a crash leaves
 * it. Pieces of lines say nothing and are passed over.
 * @throws SkeinError `corrupt` naming the first line that does not fit.
 */
export function verifyAudit(path: string): AuditEnd & { readonly torn: boolean } {
  if (!existsSync(path)) return { count: 0, last: FIRST, torn: false };
  let end: AuditEnd = { count: 0, last: FIRST };
  let number = 0;
  let torn = false;
  for (const { text, whole } of readLines(path)) {
    number += 1;
    torn = !whole;
    if (fits(text, end)) end = { count: end.count + 1, last: digest(text) };
    else if (!isPiece(text)) {
      throw new SkeinError(`${path}, line ${number} was changed, taken out or put in; keep the file and begin a new one`, {
        code: 'corrupt',
      });
    }
  }
  return { ...end, torn };
}

/** The lines of a file of any size; the last may lack its end. */
function* readLines(path: string): Generator<{ readonly text: string; readonly whole: boolean }> {
  const file = openSync(path, 'r');
  const chunk = Buffer.alloc(READ_BYTES);
  let kept = Buffer.alloc(0);
  try {
    for (let got = readSync(file, chunk); got > 0; got = readSync(file, chunk)) {
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0 && end < got; end = chunk.indexOf(NEWLINE, from)) {
        yield { text: Buffer.concat([kept, chunk.subarray(from, end)]).toString('utf8'), whole: true };
        kept = Buffer.alloc(0);
        from = end + 1;
      }
      kept = Buffer.concat([kept, chunk.subarray(from, got)]);
      if (kept.length > LINE_BYTES_MAX) throw new SkeinError(`${path} has a line without an end`, { code: 'corrupt' });
    }
    if (kept.length > 0) yield { text: kept.toString('utf8'), whole: false };
  } finally {
    closeSync(file);
  }
}

function fits(text: string, { count, last }: AuditEnd): boolean {
  const parsed = line.safeParse(parseJson(text));
  return parsed.success && parsed.data.seq === count + 1 && parsed.data.previous === last;
}

/** A line that ends before its object does: what a crash leaves. It says nothing, so nothing hangs on it. */
function isPiece(text: string): boolean {
  const beginning = text.slice(0, BEGINNING.length);
  return beginning !== '' && BEGINNING.startsWith(beginning) && parseJson(text) === undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Not JSON is an answer here: the line does not fit.
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
