import os from 'node:os';

/** Share of the memory this process may have above which it takes no new work. */
const WATERMARK = 0.85;
/** How long one look at the memory counts. */
const LOOK_MS = 250;

export interface MemoryWatermarkParts {
  /** Bytes above which memory is short. */
  readonly bytes: number;
  /** Bytes this process holds. */
  readonly residentBytes: () => number;
  readonly monotonicMs: () => number;
}

/** Whether this process holds so much memory that more work could end it. */
export class MemoryWatermark {
  readonly #parts: MemoryWatermarkParts;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #isShort = false;

  constructor(parts: MemoryWatermarkParts) {
    this.#parts = parts;
  }

  /** Looks at the memory at most four times a second, so that it may be asked for every request. */
  isShort(): boolean {
    const { bytes, residentBytes, monotonicMs } = this.#parts;
    const nowMs = monotonicMs();
    if (nowMs - this.#lookedAtMs >= LOOK_MS) {
      this.#lookedAtMs = nowMs;
      this.#isShort = residentBytes() > bytes;
    }
    return this.#isShort;
  }
}

/** The watermark of this process: of its control group's limit where there is one, else of the machine's memory. */
export function watermarkBytes(): number {
  const limit = process.constrainedMemory();
  const total = os.totalmem();
  return Math.floor(WATERMARK * (limit > 0 && limit < total ? limit : total));
}
