import { SkeinError } from '@skein/protocol';
import type { GatewayLimits } from './limits.ts';

export interface LineStreamParts {
  readonly source: AsyncIterable<object>;
  /** Aborted when the reader is gone or stalls; the source is expected to stop by its signal. */
  readonly controller: AbortController;
  readonly limits: Pick<GatewayLimits, 'heartbeatMs' | 'stallMs'>;
  readonly now: () => number;
  /** Cuts the connection, for a reader that takes nothing. */
  readonly disconnect: () => void;
  readonly failed: (error: SkeinError) => void;
  /** Called once, when the stream is over for whatever reason. */
  readonly ended: () => void;
}

/**
 * A source as lines of JSON, one asked for when the reader took the last: memory is one line, and a slow reader slows
 * the source. When there is nothing to tell it tells `{"type":"heartbeat"}`. A source that throws ends in an
 * `{"type":"error"}` line.
 */
export class LineStream {
  readonly #parts: LineStreamParts;
  readonly #iterator: AsyncIterator<object>;
  readonly #encoder = new TextEncoder();
  /** The source's next line as it was found, until the reader takes it; null is its end. */
  #found: Uint8Array | null | undefined;
  #asking = false;
  #exhausted = false;
  #over = false;
  #wake: (() => void) | undefined;
  #stall: NodeJS.Timeout | undefined;

  constructor(parts: LineStreamParts) {
    this.#parts = parts;
    this.#iterator = parts.source[Symbol.asyncIterator]();
    // Asked at once, so that a subscription stands before the first byte of the answer.
    this.#ask();
  }

  /** @param greet Whether to begin with a heartbeat, so that the reader knows it is subscribed. */
  toResponse(greet: boolean): Response {
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          if (greet) controller.enqueue(this.#heartbeat());
        },
        pull: async (controller) => {
          clearTimeout(this.#stall);
          const line = await this.#next();
          if (this.#over) return;
          if (line === null) {
            this.#end();
            controller.close();
            return;
          }
          this.#stall = setTimeout(() => this.#abandon(), this.#parts.limits.stallMs);
          controller.enqueue(line);
        },
        cancel: () => this.#stop(new SkeinError('The reader is gone', { code: 'canceled' })),
      },
      { highWaterMark: 0 },
    );
    return new Response(body, {
      headers: { 'Content-Type': 'application/x-ndjson', 'X-Accel-Buffering': 'no' },
    });
  }

  /** The source's next line or its end; a heartbeat when neither came in time. */
  async #next(): Promise<Uint8Array | null> {
    this.#ask();
    if (this.#found === undefined) {
      // The one reaction to the pending line is #ask's; a race made anew each heartbeat would pile reactions up on it.
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#parts.limits.heartbeatMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    if (this.#found === undefined) return this.#heartbeat();
    const line = this.#found;
    this.#found = undefined;
    return line;
  }

  #ask(): void {
    if (this.#asking || this.#found !== undefined) return;
    if (this.#exhausted) {
      this.#found = null;
      return;
    }
    this.#asking = true;
    const settle = (line: Uint8Array | null) => {
      this.#asking = false;
      this.#exhausted ||= line === null;
      this.#found = line;
      this.#wake?.();
    };
    this.#iterator
      .next()
      .then((result) => (result.done === true ? null : this.#encode(result.value)))
      .then(settle, (thrown: unknown) => settle(this.#lastLine(thrown)));
  }

  #lastLine(thrown: unknown): Uint8Array {
    const error = SkeinError.from(thrown);
    this.#exhausted = true;
    if (!this.#over) this.#parts.failed(error);
    return this.#encode({ type: 'error', ...error.toPublic() });
  }

  #heartbeat(): Uint8Array {
    return this.#encode({ type: 'heartbeat', atMs: this.#parts.now() });
  }

  #encode(line: object): Uint8Array {
    return this.#encoder.encode(`${JSON.stringify(line)}\n`);
  }

  #abandon(): void {
    this.#stop(new SkeinError('The reader took nothing for too long', { code: 'canceled' }));
    this.#parts.disconnect();
  }

  #stop(reason: SkeinError): void {
    if (this.#over) return;
    this.#end();
    this.#parts.controller.abort(reason);
    this.#wake?.();
    // A source in the middle of a step is left to its signal; one between two steps ends here.
    this.#iterator.return?.().catch((thrown: unknown) => this.#parts.failed(SkeinError.from(thrown)));
  }

  #end(): void {
    clearTimeout(this.#stall);
    if (this.#over) return;
    this.#over = true;
    this.#parts.ended();
  }
}
