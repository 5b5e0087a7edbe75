import type { DiskEvent } from './disk-record.ts';

/** What is asked of the disk for one file. */
export type FileChange =
  | Pick<Extract<DiskEvent, { type: 'write' }>, 'type' | 'at' | 'data'>
  | Pick<Extract<DiskEvent, { type: 'truncate' }>, 'type' | 'bytes'>;

/** What a disk is asked to write at once it may write in pieces of this size, in any order. */
const SECTOR = 512;
/** How often the size comes through ahead of the bytes. */
const SIZE_AHEAD = 0.3;

/** One file on a disk: what lasts, and what was asked for since its last sync. */
export class DiskFile {
  readonly #lasting: Content;
  #pending: FileChange[] = [];

  constructor(content: Buffer = Buffer.alloc(0)) {
    this.#lasting = new Content(content);
  }

  change(change: FileChange): void {
    this.#pending.push(change);
  }

  sync(): void {
    for (const change of this.#pending) this.#lasting.apply(change);
    this.#pending = [];
  }

  /** A sync that failed: the system holds for clean what it could not write, and no later sync writes it. */
  failSync(random: () => number): void {
    for (const change of this.#keptOf(random)) this.#lasting.apply(change);
    this.#pending = [];
  }

  /** All that was asked for, as the running program sees it. */
  now(): Buffer {
    return this.#lasting.with(this.#pending).bytes;
  }

  /**
   * What there may be when the power fails now: of what was asked for since the last sync nothing, all, the first part or
   * any sectors, and the size of the file may have come through ahead of the bytes, which read as zeros then.
   */
  afterCut(random: () => number): Buffer {
    const content = this.#lasting.with(this.#keptOf(random));
    if (random() < SIZE_AHEAD) content.resize(Math.max(content.length, this.now().length));
    return content.bytes;
  }

  #keptOf(random: () => number): readonly FileChange[] {
    const pending = this.#pending;
    const way = random();
    if (way < 0.25) return [];
    if (way < 0.35) return pending;
    if (way < 0.6) {
      const sectors = pending.flatMap(sectorsOf);
      return sectors.slice(0, Math.floor(random() * (sectors.length + 1)));
    }
    const share = random();
    return pending.flatMap(sectorsOf).filter(() => random() < share);
  }
}

function sectorsOf(change: FileChange): FileChange[] {
  if (change.type === 'truncate') return [change];
  const pieces: FileChange[] = [];
  for (let from = 0; from < change.data.length; ) {
    const at = change.at + from;
    const to = Math.min(change.data.length, from + SECTOR - (at % SECTOR));
    pieces.push({ type: 'write', at, data: change.data.subarray(from, to) });
    from = to;
  }
  return pieces;
}

/** Bytes that grow in place. */
class Content {
  #bytes: Buffer;
  #length: number;

  constructor(bytes: Buffer) {
    this.#bytes = Buffer.from(bytes);
    this.#length = bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  /** Good until the next change. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  with(changes: readonly FileChange[]): Content {
    const next = new Content(this.bytes);
    for (const change of changes) next.apply(change);
    return next;
  }

  apply(change: FileChange): void {
    if (change.type === 'truncate') this.resize(change.bytes);
    else {
      this.resize(Math.max(this.#length, change.at + change.data.length));
      change.data.copy(this.#bytes, change.at);
    }
  }

  resize(length: number): void {
    if (length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(length)]);
    this.#bytes.fill(0, Math.min(length, this.#length), Math.max(length, this.#length));
    this.#length = length;
  }
}
