import { createHash } from 'node:crypto';
import { closeSync, existsSync, fdatasync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { Clock } from './clock.ts';

/** Records that may wait for the disk; beyond, the number of those lost is recorded instead. */
const WAITING_MAX = 10_000;
const FLUSH_MS = 100;
const FIRST = '0'.repeat(64);

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
  readonly count?: number;
}

const line = z.looseObject({ seq: z.int().positive(), previous: z.string().length(64) });

/**
 * An append-only file of JSON lines, each with the hash of the one before: a line changed, taken out or put in shows.
 * Records are written together, a tenth of a second later at most.
 */
export class AuditLog {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onError: (error: SkeinError) => void;
  readonly #waiting: AuditRecord[] = [];
  #lost = 0;
  #seq = 0;
  #previous = FIRST;
  #file: number | undefined;
  #scheduled = false;

  constructor(parts: { readonly path: string; readonly clock: Clock; readonly onError: (error: SkeinError) => void }) {
    this.#path = parts.path;
    this.#clock = parts.clock;
    this.#onError = parts.onError;
  }

  /** Checks the file and opens it. @throws SkeinError `corrupt` naming the line at which the chain breaks. */
  start(): void {
    const end = verifyAudit(this.#path);
    this.#seq = end.count;
    this.#previous = end.last;
    this.#file = openSync(this.#path, 'a', 0o600);
    // A line cut off by a crash is closed, so that the next one begins on its own.
    if (end.torn) writeSync(this.#file, '\n');
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
    fdatasyncSync(file);
    closeSync(file);
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#file === undefined || this.#waiting.length === 0) return;
    const records = this.#waiting.splice(0);
    if (this.#lost > 0) records.push({ event: 'records-lost', count: this.#lost });
    this.#lost = 0;
    const atMs = this.#clock.now();
    let text = '';
    for (const record of records) {
      const entry = JSON.stringify({ seq: this.#seq + 1, atMs, ...record, previous: this.#previous });
      this.#seq += 1;
      this.#previous = digest(entry);
      text += `${entry}\n`;
    }
    try {
      writeSync(this.#file, text);
      fdatasync(this.#file, (error) => {
        // Closed meanwhile: close() has synced.
        if (error !== null && this.#file !== undefined) this.#failed(error);
      });
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(cause: unknown): void {
    this.#onError(new SkeinError(`The audit log ${this.#path} cannot be written`, { code: 'unavailable', cause }));
  }
}

/**
 * Follows the chain of an audit file.
 * @throws SkeinError `corrupt` naming the first line that does not fit. A last line cut off by a crash is `torn`.
 */
export function verifyAudit(path: string): { readonly count: number; readonly last: string; readonly torn: boolean } {
  if (!existsSync(path)) return { count: 0, last: FIRST, torn: false };
  const lines = readFileSync(path, 'utf8').split('\n');
  const tail = lines.pop() ?? '';
  let last = FIRST;
  let count = 0;
  for (const [index, text] of lines.entries()) {
    if (!fits(text, count + 1, last)) {
      if (isTorn(text)) continue;
      throw new SkeinError(`${path}, line ${index + 1} was changed, taken out or put in; keep the file and begin a new one`, {
        code: 'corrupt',
      });
    }
    last = digest(text);
    count += 1;
  }
  return { count, last, torn: tail !== '' };
}

function fits(text: string, seq: number, previous: string): boolean {
  const parsed = line.safeParse(parseJson(text));
  return parsed.success && parsed.data.seq === seq && parsed.data.previous === previous;
}

/** A line that ends before its object does: what a crash leaves. It says nothing, so nothing hangs on it. */
function isTorn(text: string): boolean {
  return text.startsWith('{"seq":') && parseJson(text) === undefined;
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
