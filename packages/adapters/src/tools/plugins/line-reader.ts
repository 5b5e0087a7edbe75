const LINE_END = 0x0a;

/** Bytes as they come, put together to lines of UTF-8. */
export class LineReader {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(parts: { readonly maxBytes: number }) {
    this.#maxBytes = parts.maxBytes;
  }

  /** The lines that are complete now, without their ends; undefined once one is too long. */
  *take(chunk: Buffer): Generator<string | undefined, void> {
    for (let start = 0; start < chunk.length; ) {
      const end = chunk.indexOf(LINE_END, start);
      const part = chunk.subarray(start, end === -1 ? chunk.length : end);
      this.#bytes += part.length;
      if (this.#bytes > this.#maxBytes) {
        yield undefined;
        return;
      }
      this.#parts.push(part);
      if (end === -1) return;
      yield this.#line();
      start = end + 1;
    }
  }

  #line(): string {
    const bytes = this.#parts.length === 1 ? (this.#parts[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return bytes.toString('utf8');
  }
}
