import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { readOwnFile, writeFileAtomic } from '@skein/mesh';
import type { PeerId } from '@skein/protocol';

const FILE_BYTES_MAX = 4 * 1024 * 1024;
const HEAD = 'skein-vole-marks';
const STAMP_DIGITS = 16;
const ROW = /^([a-z2-7]{52}) +(\d{1,16})$/;

export interface ReplayMarksParts {
  readonly file: string;
  /** The run of the system this process is in. */
  readonly boot: string;
  /** What it begins with. */
  readonly marks: ReadonlyMap<PeerId, number>;
}

/**
 * The newest stamp of each peer in a file that is written in place for each message, and never synced: so it is exact
 * after any end of this process, and worth nothing after one of the system, which is why it says in which run of that it
 * was written.
 */
export class ReplayMarks {
  readonly #file: string;
  readonly #places = new Map<PeerId, number>();
  #descriptor: number | undefined;
  #bytes: number;

  /** Writes the file anew. @throws Error of the file system. */
  constructor({ file, boot, marks }: ReplayMarksParts) {
    this.#file = file;
    const head = `${HEAD} ${boot}\n`;
    this.#bytes = head.length;
    const rows = [...marks].map(([peer, stampMs]) => this.#row(peer, stampMs).text);
    writeFileAtomic(file, [head, ...rows].join(''));
    this.#descriptor = openSync(file, 'r+');
  }

  /** @throws Error of the file system; the file is gone then, and counts no more. */
  set(peer: PeerId, stampMs: number): void {
    if (this.#descriptor === undefined) return;
    const { text, at } = this.#row(peer, stampMs);
    try {
      writeSync(this.#descriptor, text, at);
    } catch (error) {
      this.close();
      rmSync(this.#file, { force: true });
      throw error;
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /** Every row is as long, so each peer keeps its place. A stamp is rounded up: what is at it is not heard again. */
  #row(peer: PeerId, stampMs: number): { readonly text: string; readonly at: number } {
    const text = `${peer} ${String(Math.ceil(stampMs)).padStart(STAMP_DIGITS)}\n`;
    const at = this.#places.get(peer) ?? this.#bytes;
    if (at === this.#bytes) {
      this.#places.set(peer, at);
      this.#bytes += text.length;
    }
    return { text, at };
  }
}

/** What such a file of this very run of the system says; undefined where there is none, or one that is not whole. */
export function readReplayMarks(file: string, boot: string): ReadonlyMap<PeerId, number> | undefined {
  let text: string | undefined;
  try {
    text = readOwnFile(file, { maxBytes: FILE_BYTES_MAX, secret: false });
  } catch {
    return undefined; // What is on the disk for sure counts then, as after an end of the system.
  }
  const [head, ...rows] = text?.split('\n') ?? [];
  if (head !== `${HEAD} ${boot}` || rows.pop() !== '') return undefined;
  const marks = new Map<PeerId, number>();
  for (const row of rows) {
    const [, peer, stamp] = ROW.exec(row) ?? [];
    if (peer === undefined) return undefined;
    // Proven by whoever wrote it: a key that is no peer id is never asked for.
    marks.set(peer as PeerId, Number(stamp));
  }
  return marks;
}
