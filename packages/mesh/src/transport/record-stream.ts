import { SkeinError } from '@skein/protocol';

/** Bytes of the length that stands before each record. */
const LENGTH_BYTES = 4;

/** Records as one stream of bytes on their way out, kept until the far end has said how far it has them. */
export class OutgoingRecords {
  #pieces: Buffer[] = [];
  /** Bytes of the first piece that the far end has. */
  #taken = 0;
  /** Where in the stream the first byte stands that the far end may not have. */
  start = 0;
  /** Where in the stream the next record will stand. */
  end = 0;

  /** Bytes the far end may not have yet. */
  get waiting(): number {
    return this.end - this.start;
  }

  push(record: Uint8Array): void {
    const piece = Buffer.allocUnsafe(LENGTH_BYTES + record.length);
    piece.writeUInt32BE(record.length);
    piece.set(record, LENGTH_BYTES);
    this.#pieces.push(piece);
    this.end += piece.length;
  }

  /** The far end has everything before this place. @throws SkeinError `invalid` when there is no such place. */
  release(offset: number): void {
    if (offset < this.start || offset > this.end) {
      throw new SkeinError(`The far end says it has ${offset} bytes; ${this.start} to ${this.end} can be`, { code: 'invalid' });
    }
    let left = offset - this.start + this.#taken;
    let whole = 0;
    for (const piece of this.#pieces) {
      if (piece.length > left) break;
      left -= piece.length;
      whole += 1;
    }
    this.#pieces.splice(0, whole);
    this.#taken = left;
    this.start = offset;
  }

  /** Up to `maxBytes` of the stream from a place that is not released yet. */
  slice(offset: number, maxBytes: number): Buffer {
    let skip = offset - this.start + this.#taken;
    let room = maxBytes;
    const parts: Buffer[] = [];
    for (const piece of this.#pieces) {
      if (room === 0) break;
      if (skip >= piece.length) skip -= piece.length;
      else {
        const part = piece.subarray(skip, skip + room);
        parts.push(part);
        room -= part.length;
        skip = 0;
      }
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }

  clear(): void {
    this.#pieces = [];
    this.#taken = 0;
    this.start = this.end;
  }
}

/** Records out of a stream of bytes that comes in pieces of any size. Holds what it was given and not more than that. */
export class IncomingRecords {
  #pieces: Buffer[] = [];
  #buffered = 0;
  /** Bytes of the stream that came so far. */
  taken = 0;

  push(piece: Buffer): void {
    this.taken += piece.length;
    this.#buffered += piece.length;
    this.#pieces.push(piece);
  }

  /** Counts bytes nobody wants any more. */
  skip(bytes: number): void {
    this.taken += bytes;
  }

  /**
   * The next whole record; undefined when it is not there yet.
   * @throws SkeinError `too-large` or `invalid` as soon as its length is known.
   */
  next(maxRecordBytes: number): Buffer | undefined {
    if (this.#buffered < LENGTH_BYTES) return undefined;
    const bytes = this.#first(LENGTH_BYTES).readUInt32BE();
    if (bytes === 0) throw new SkeinError('a record is empty', { code: 'invalid' });
    if (bytes > maxRecordBytes) throw new SkeinError(`a record of ${bytes} bytes is over the bound`, { code: 'too-large' });
    if (this.#buffered < LENGTH_BYTES + bytes) return undefined;
    const first = this.#first(LENGTH_BYTES + bytes);
    this.#buffered -= LENGTH_BYTES + bytes;
    this.#pieces[0] = first.subarray(LENGTH_BYTES + bytes);
    if (this.#pieces[0].length === 0) this.#pieces.shift();
    return first.subarray(LENGTH_BYTES, LENGTH_BYTES + bytes);
  }

  clear(): void {
    this.#pieces = [];
    this.#buffered = 0;
  }

  /** The first piece, made at least this long; so much is there. */
  #first(bytes: number): Buffer {
    const [first] = this.#pieces;
    if (first !== undefined && first.length >= bytes) return first;
    let length = 0;
    let count = 0;
    for (const piece of this.#pieces) {
      length += piece.length;
      count += 1;
      if (length >= bytes) break;
    }
    const joined = Buffer.concat(this.#pieces.slice(0, count));
    this.#pieces.splice(0, count, joined);
    return joined;
  }
}
