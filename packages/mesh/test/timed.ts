import type { Connection, ConnectionHandlers } from '../src/index.ts';

/** How long each record kept this process busy: nothing else runs meanwhile. */
export class Timed {
  worstMs = 0;

  through(inner: Connection): Connection {
    return new TimedConnection(inner, (ms) => {
      this.worstMs = Math.max(this.worstMs, ms);
    });
  }
}

class TimedConnection implements Connection {
  readonly #inner: Connection;
  readonly #took: (ms: number) => void;

  constructor(inner: Connection, took: (ms: number) => void) {
    this.#inner = inner;
    this.#took = took;
  }

  get remoteAddress(): string {
    return this.#inner.remoteAddress;
  }

  get arrived(): number {
    return this.#inner.arrived;
  }

  get departed(): number {
    return this.#inner.departed;
  }

  attach(handlers: ConnectionHandlers): void {
    this.#inner.attach({
      record: (record) => {
        const sinceMs = performance.now();
        handlers.record(record);
        this.#took(performance.now() - sinceMs);
      },
      drain: () => handlers.drain(),
      closed: (reason) => handlers.closed(reason),
    });
  }

  send(record: Uint8Array): boolean {
    return this.#inner.send(record);
  }

  admit(maxRecordBytes: number): void {
    this.#inner.admit(maxRecordBytes);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  close(reason: string): void {
    this.#inner.close(reason);
  }
  cut(reason: string): void {
    this.#inner.cut(reason);
  }
}
