import { ForwardingConnection } from '@skein/testing';
import type { Connection, ConnectionHandlers } from '../src/index.ts';

/** How long each record kept this process busy, in its own time: what else the machine does meanwhile is not counted. */
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
        const before = process.threadCpuUsage();
        handlers.record(record);
        const { user, system } = process.threadCpuUsage(before);
        this.#took((user + system) / 1_000);
      },
      drain: () => handlers.drain(),
      closed: (reason) => handlers.closed(reason),
    });
  }
}
