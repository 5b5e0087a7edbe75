import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import type { TransportPlace } from '@skein/testing';
import { type Connection, createWebSocketTransport, WebSocketAcceptor } from '../src/index.ts';

/** Connections that were accepted, one at a time. */
export class Accepted {
  readonly #ready: Connection[] = [];
  readonly #wanted: ((connection: Connection) => void)[] = [];

  push(connection: Connection): void {
    const wanted = this.#wanted.shift();
    if (wanted === undefined) this.#ready.push(connection);
    else wanted(connection);
  }

  next(): Promise<Connection> {
    const ready = this.#ready.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((resolve) => {
      this.#wanted.push(resolve);
    });
  }
}

export interface WebSocketPlace extends TransportPlace {
  readonly port: number;
}

/** An HTTP server on loopback that takes WebSockets, by default into `accepted`. */
export async function startWebSocketPlace(accept?: (connection: Connection) => void): Promise<WebSocketPlace> {
  const server = createServer();
  const acceptor = new WebSocketAcceptor();
  const accepted = new Accepted();
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    acceptor.upgrade(request, socket, head, accept ?? ((connection) => accepted.push(connection)));
  });
  const port = await listen(server);
  const nobody = createServer();
  const nobodyPort = await listen(nobody);
  nobody.close();
  return {
    transport: createWebSocketTransport(),
    url: `ws://127.0.0.1:${port}`,
    nobodyUrl: `ws://127.0.0.1:${nobodyPort}`,
    port,
    accepted: () => accepted.next(),
    async [Symbol.asyncDispose]() {
      acceptor.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Binds a server to a port of loopback that the system chooses. */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Proven: it listens on TCP.
  return (server.address() as AddressInfo).port;
}

/** A TCP connection on which the WebSocket upgrade was done by hand, for what a real client would never send. */
export async function upgradeByHand(port: number, subprotocol = 'skein.1'): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  socket.write(
    `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
  );
  await once(socket, 'data');
  return socket;
}

/** A client's WebSocket frame with a zero mask; `declaredBytes` is what its header says, `payload` what follows. */
export function clientFrame(
  opcode: number,
  payload: Uint8Array,
  { fin = true, declaredBytes = payload.length }: { readonly fin?: boolean; readonly declaredBytes?: number } = {},
): Buffer {
  const header = Buffer.alloc(14);
  header[0] = (fin ? 0x80 : 0) | opcode;
  header[1] = 0x80 | 127;
  header.writeBigUInt64BE(BigInt(declaredBytes), 2);
  return Buffer.concat([header, payload]);
}
