import { createHash } from 'node:crypto';
import { closeSync, existsSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { type AuditEnd, readAuditEnd, writeAuditEnd } from './audit-end.ts';
import type { Clock } from './clock.ts';

/** Records that may wait for the disk; beyond, the number of those lost is recorded instead. */
const WAITING_MAX = 10_000;
const FLUSH_MS = 100;
/** How often the end is remembered while records come. */
const REMEMBER_MS = 60_000;
const FIRST = '0'.repeat(64);
const NOTHING: AuditEnd = { count: 0, last: FIRST };
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

const line = z.looseObject({ seq: z.int().positive(), previous: z.string().length(64) });

export interface AuditLogParts {
  readonly path: string;
  /** The file in which the end is remembered. */
  readonly endPath?: string;
  readonly clock: Clock;
  readonly onError: (error: SkeinError) => void;
}

/**
 * An append-only file of JSON lines, each with the hash of the one before: a line changed, taken out or put in shows.
 * Records are written together, a tenth of a second later at most. What the disk does not take is counted, and the
 * count recorded when it takes some again. With `endPath`, its end is remembered there when it closes and once a minute
 * while records come: lines taken off the end show as well, but for those of a last minute that ended in a kill.
 */
export class AuditLog {
  readonly #path: string;
  readonly #endPath: string | undefined;
  readonly #clock: Clock;
  readonly #onError: (error: SkeinError) => void;
  readonly #waiting: AuditRecord[] = [];
  #lost = 0;
  #end: AuditEnd = NOTHING;
  #file: number | undefined;
  /** The file ends inside a line. */
  #torn = false;
  #scheduled = false;
  #rememberedAtMs = 0;

  constructor(parts: AuditLogParts) {
    this.#path = parts.path;
    this.#endPath = parts.endPath;
    this.#clock = parts.clock;
    this.#onError = parts.onError;
  }

  /** Checks the file and opens it. @throws SkeinError `corrupt` naming the line at which the chain breaks. */
  start(): void {
    const remembered = this.#endPath === undefined ? undefined : readAuditEnd(this.#endPath);
    const { torn, ...end } = verifyAudit(this.#path, remembered);
    this.#end = end;
    this.#torn = torn;
    this.#file = openSync(this.#path, 'a', 0o600);
    this.#rememberedAtMs = this.#clock.monotonicMs();
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
      this.#remember(this.#end);
    } catch (error) {
      this.#failed(error);
    }
    closeSync(file);
  }

  /** Only what is on the disk is remembered, or a power cut would look like tampering. */
  #remember(synced: AuditEnd): void {
    if (this.#endPath === undefined) return;
    this.#rememberedAtMs = this.#clock.monotonicMs();
    try {
      writeAuditEnd(this.#endPath, synced);
    } catch (error) {
      this.#failed(error);
    }
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
    const end = this.#end;
    fdatasync(this.#file, (error) => {
      if (this.#file === undefined) return; // Closed meanwhile: close() has synced.
      if (error !== null) this.#failed(error);
      else if (this.#clock.monotonicMs() - this.#rememberedAtMs >= REMEMBER_MS) this.#remember(end);
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
 * Follows the chain of an audit file: whatever was changed, put in, taken out or moved shows; lines taken off the end, or
 * the whole written anew, show when there is a remembered end to compare with. `torn` when the file ends inside a line, as a crash leaves
 * it. Pieces of lines say nothing and are passed over.
 * @throws SkeinError `corrupt` naming the first line that does not fit.
 */
export function verifyAudit(path: string, remembered: AuditEnd = NOTHING): AuditEnd & { readonly torn: boolean } {
  let end: AuditEnd = NOTHING;
  let number = 0;
  let torn = false;
  for (const { text, whole } of existsSync(path) ? readLines(path) : []) {
    number += 1;
    torn = !whole;
    if (fits(text, end)) {
      end = { count: end.count + 1, last: digest(text) };
      if (end.count === remembered.count && end.last !== remembered.last) throw rewritten(path, end.count);
    } else if (!isPiece(text)) {
      throw new SkeinError(`${path}, line ${number} was changed, taken out or put in; keep the file and begin a new one`, {
        code: 'corrupt',
      });
    }
  }
  if (end.count >= remembered.count) return { ...end, torn };
  throw new SkeinError(
    `${path} ends after ${end.count} records, and had ${remembered.count}: some were taken off its end; keep it, and move it and its remembered end aside to begin new ones`,
    { code: 'corrupt' },
  );
}

function rewritten(path: string, count: number): SkeinError {
  return new SkeinError(
    `${path}, record ${count} is not the one that was remembered: the file was written anew; keep it, and move it and its remembered end aside to begin new ones`,
    { code: 'corrupt' },
  );
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
