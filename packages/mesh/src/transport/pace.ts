import { HTTP_BODY_BYTES } from './http-wire.ts';

/** A body that took longer to cross than this was too large for its line, one that took less than that may grow. */
const SLOW_MS = 1_500;
const FAST_MS = 400;

/**
 * How much one body may carry: as much as crosses in about a second, so that a slow line is seen to move and a proxy
 * does not cut what would never get through whole.
 */
export class Pace {
  bytes: number = HTTP_BODY_BYTES.first;

  /** A full body took this long. */
  took(ms: number): void {
    if (ms > SLOW_MS) this.failed();
    else if (ms < FAST_MS) this.bytes = Math.min(HTTP_BODY_BYTES.most, this.bytes * 2);
  }

  /** A body did not get through. */
  failed(): void {
    this.bytes = Math.max(HTTP_BODY_BYTES.least, this.bytes / 2);
  }
}
