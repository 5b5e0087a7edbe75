import { hash } from 'node:crypto';
import { closeSync, createReadStream, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { AuditEnd } from './audit-end.ts';

/** Full files kept beside the one that is written. */
export const AUDIT_ARCHIVES_KEPT = 4;
/** The first record of a file that follows another one: it says which log that is. */
export const CONTINUED = 'log-continued';
/** What the first record of all is chained to. */
export const CHAIN_START = '0'.repeat(64);

const BEGINNING = '{"seq":';
const CONTINUED_FIELD = `"event":"${CONTINUED}"`;
const READ_BYTES = 1024 * 1024;
/** Bytes of one line; no record is near it. */
const LINE_BYTES_MAX = 1024 * 1024;
const NEWLINE = 0x0a;
const ARCHIVE_DIGITS = 16;

const firstLine = z.looseObject({ seq: z.int().positive(), previous: z.string().length(64) });
const continuedLine = firstLine.extend({ event: z.literal(CONTINUED), log: z.string().length(64) });

/** What following a chain to its end found. */
export interface AuditChain extends AuditEnd {
  /** Number of the first record in the file that is written; `count + 1` when there is none yet. */
  readonly first: number;
  /** The file that is written ends inside a line, as a crash leaves it. */
  readonly torn: boolean;
  /**
   * Where in that file what a power cut left of its last records begins, which were not on the disk yet: sectors that were
   * never written read as zeros, and the ones between them stand for nothing. Undefined when there is no such place.
   */
  readonly lostFrom: number | undefined;
}

/** SHA-256 of a record as it stands in the file, in hex. */
export function auditHash(line: string | Buffer): string {
  return hash('sha256', line);
}

/** Where a full file is kept whose first record has this number. */
export function archivePath(path: string, first: number): string {
  return `${path}.${String(first).padStart(ARCHIVE_DIGITS, '0')}`;
}

/** The full files of a log, the oldest first. */
export function listArchives(path: string): readonly string[] {
  const directory = dirname(path);
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const prefix = `${basename(path)}.`;
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{16}$/.test(name.slice(prefix.length)))
    .sort()
    .map((name) => join(directory, name));
}

/**
 * Follows the chain through the files of an audit log: whatever was changed, put in, taken out or moved shows; lines taken
 * off the end, or the whole written anew, show when there are ends known from elsewhere to compare with. Pieces of lines
 * say nothing and are passed over.
 * @throws SkeinError `corrupt` naming the first line that does not fit.
 */
export function verifyAudit(path: string, known: readonly AuditEnd[] = []): AuditChain {
  const archives = listArchives(path);
  const walk = new ChainWalk(known, archives.length);
  for (const file of archives) walk.take(file);
  walk.take(path, { mayEndInZeros: true });
  return walk.end(path);
}

/**
 * The hash of one record of a log that was verified before; undefined when there is no such record any more. Reads in
 * pieces, beside other work.
 */
export async function findAuditHash(path: string, seq: number): Promise<string | undefined> {
  const wanted = `${BEGINNING}${seq},`;
  for (const file of [...listArchives(path), path]) {
    if (!existsSync(file)) continue;
    const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
    try {
      for await (const text of lines) if (text.startsWith(wanted) && !isPiece(text)) return auditHash(text);
    } finally {
      lines.close();
    }
  }
  return undefined;
}

/** The state of following a chain from its first file to its last. */
class ChainWalk {
  readonly #known: ReadonlyMap<number, readonly AuditEnd[]>;
  readonly #archives: number;
  #last: AuditEnd | undefined;
  #first = 1;
  #torn = false;
  #lostFrom: number | undefined;

  constructor(known: readonly AuditEnd[], archives: number) {
    this.#known = Map.groupBy(known, ({ count }) => count);
    this.#archives = archives;
  }

  /** A full file was on the disk before the next one began: in it, zeros are somebody's work. */
  take(path: string, { mayEndInZeros = false } = {}): void {
    let number = 0;
    let at = 0;
    let isFirst = true;
    this.#torn = false;
    this.#first = (this.#last?.count ?? 0) + 1;
    for (const { line, whole } of existsSync(path) ? readLines(path) : []) {
      number += 1;
      this.#torn = !whole;
      if (this.#fits(line, isFirst)) {
        isFirst = false;
        this.#compare(path);
      } else if (mayEndInZeros && line.includes(0)) {
        // Whoever could write them could cut the end off as well: the ends that are known tell.
        this.#lostFrom = at;
        this.#torn = false;
        return;
      } else if (!isPiece(line.toString('utf8'))) {
        throw new SkeinError(
          `${path}, line ${number} was changed, taken out or put in; keep it: move all files beside it whose names begin with "audit" away to begin a new log`,
          {
            code: 'corrupt',
          },
        );
      }
      at += line.length + 1;
    }
  }

  end(path: string): AuditChain {
    const { count, head, log } = this.#last ?? { count: 0, head: CHAIN_START, log: CHAIN_START };
    const ahead = Math.max(0, ...this.#known.keys());
    if (count < ahead) {
      throw new SkeinError(
        `${path} ends after ${count} records, and had ${ahead}: some were taken off its end; keep it: move all files beside it whose names begin with "audit" away to begin a new log`,
        { code: 'corrupt' },
      );
    }
    return { count, head, log, first: this.#first, torn: this.#torn, lostFrom: this.#lostFrom };
  }

  /** Goes one record on when the line is the next one. */
  #fits(line: Buffer, isFirst: boolean): boolean {
    const last = this.#last;
    if (last === undefined) return this.#begins(line);
    const { count, head, log } = last;
    // What is compared is ASCII, and so decodes fastest; the hash is over the bytes.
    const text = line.toString('latin1');
    if (!text.startsWith(`${BEGINNING}${count + 1},`) || !text.endsWith(`,"previous":"${head}"}`)) return false;
    // Where one file ends and the next begins is in the chain: whole files can be neither cut nor taken away.
    if (text.includes(CONTINUED_FIELD) !== isFirst) return false;
    this.#last = { count: count + 1, head: auditHash(line), log };
    return true;
  }

  #begins(line: Buffer): boolean {
    const value = parseJson(line.toString('utf8'));
    const first = firstLine.safeParse(value);
    if (!first.success) return false;
    const { seq, previous } = first.data;
    const head = auditHash(line);
    if (seq === 1 && previous === CHAIN_START) {
      this.#last = { count: 1, head, log: head };
      return true;
    }
    const continued = continuedLine.safeParse(value);
    if (!continued.success || this.#archives < AUDIT_ARCHIVES_KEPT) return false;
    this.#last = { count: seq, head, log: continued.data.log };
    this.#first = seq;
    return true;
  }

  #compare(path: string): void {
    const last = this.#last;
    const ends = last === undefined ? [] : (this.#known.get(last.count) ?? []);
    const wrong = ends.find(({ head, log }) => head !== last?.head || log !== last.log);
    if (wrong === undefined) return;
    throw new SkeinError(
      `${path}, record ${wrong.count} is not the one that was remembered: the log was written anew; keep it: move all files beside it whose names begin with "audit" away to begin a new log`,
      { code: 'corrupt' },
    );
  }
}

/** The lines of a file of any size, each good until the next is asked for; the last may lack its end. */
function* readLines(path: string): Generator<{ readonly line: Buffer; readonly whole: boolean }> {
  const file = openSync(path, 'r');
  const chunk = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(1, fstatSync(file).size)));
  let kept = Buffer.alloc(0);
  try {
    for (let got = readSync(file, chunk); got > 0; got = readSync(file, chunk)) {
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0 && end < got; end = chunk.indexOf(NEWLINE, from)) {
        const rest = chunk.subarray(from, end);
        yield { line: kept.length === 0 ? rest : Buffer.concat([kept, rest]), whole: true };
        kept = Buffer.alloc(0);
        from = end + 1;
      }
      kept = Buffer.concat([kept, chunk.subarray(from, got)]);
      if (kept.length > LINE_BYTES_MAX && kept.includes(0)) break;
      if (kept.length > LINE_BYTES_MAX) throw new SkeinError(`${path} has a line without an end`, { code: 'corrupt' });
    }
    if (kept.length > 0) yield { line: kept, whole: false };
  } finally {
    closeSync(file);
  }
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
