import { ForwardingConnection } from '@skein/testing';
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

class TimedConnection extends ForwardingConnection {
  readonly #took: (ms: number) => void;

  constructor(inner: Connection, took: (ms: number) => void) {
    super(inner);
    this.#took = took;
  }

  override attach(handlers: ConnectionHandlers): void {
    super.attach({
      record: (record) => {
        const sinceMs = performance.now();
        handlers.record(record);
        this.#took(performance.now() - sinceMs);
      },
      drain: () => handlers.drain(),
      closed: (reason) => handlers.closed(reason),
    });
  }
}
