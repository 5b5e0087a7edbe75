import type { Connection, ConnectionHandlers, Transport } from '@skein/mesh';

/** Sees each record between two ends and says what arrives in its place: nothing, itself, another, or several. */
export type Meddle = (record: Buffer, from: 'dialer' | 'acceptor', index: number) => readonly Buffer[];

/** A transport with somebody in the middle. */
export function meddleWith(transport: Transport, meddle: Meddle): Transport {
  return {
    schemes: transport.schemes,
    async dial(url, options) {
      return new MeddledConnection(await transport.dial(url, options), meddle);
    },
  };
}

class MeddledConnection implements Connection {
  readonly remoteAddress: string;
  readonly #inner: Connection;
  readonly #meddle: Meddle;
  #sent = 0;
  #received = 0;

  constructor(inner: Connection, meddle: Meddle) {
    this.#inner = inner;
    this.#meddle = meddle;
    this.remoteAddress = inner.remoteAddress;
  }

  get arrived(): number {
    return this.#inner.arrived;
  }

  get departed(): number {
    return this.#inner.departed;
  }

  attach(handlers: ConnectionHandlers): void {
    this.#inner.attach({
      ...handlers,
      record: (record) => {
        for (const arriving of this.#meddle(record, 'acceptor', this.#received++)) handlers.record(arriving);
      },
      drain: () => handlers.drain(),
      closed: (reason) => handlers.closed(reason),
    });
  }

  send(record: Uint8Array): boolean {
    let hasRoom = true;
    for (const leaving of this.#meddle(Buffer.from(record), 'dialer', this.#sent++)) hasRoom = this.#inner.send(leaving);
    return hasRoom;
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
