import type { Connection, ConnectionHandlers, Transport } from '@skein/mesh';
import { ForwardingConnection } from './forwarding-connection.ts';

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

class MeddledConnection extends ForwardingConnection {
  readonly #meddle: Meddle;
  #sent = 0;
  #received = 0;

  constructor(inner: Connection, meddle: Meddle) {
    super(inner);
    this.#meddle = meddle;
  }

  override attach(handlers: ConnectionHandlers): void {
    super.attach({
      record: (record) => {
        for (const arriving of this.#meddle(record, 'acceptor', this.#received++)) handlers.record(arriving);
      },
      drain: () => handlers.drain(),
      closed: (reason) => handlers.closed(reason),
    });
  }

  override send(record: Uint8Array): boolean {
    let hasRoom = true;
    for (const leaving of this.#meddle(Buffer.from(record), 'dialer', this.#sent++)) hasRoom = super.send(leaving);
    return hasRoom;
  }
}
