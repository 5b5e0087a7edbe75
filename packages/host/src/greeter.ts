import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import type { Certificate } from './certificate.ts';

/** First byte of a TLS connection: the type of a handshake record (RFC 8446, 5.1). No HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16;
/** How long a connection may take to say anything, and to come to an end with its TLS handshake. */
const GREETING_MS = 10_000;

/** Lets an HTTP server speak TLS on the port where it also speaks plainly: what a connection says first decides. */
export class Greeter {
  readonly #tls: TlsServer;
  readonly #silent = new Set<Socket>();

  constructor(server: Server, certificate: Certificate) {
    // Node's own listener, which begins to read a request; it takes any stream, so also one that TLS was taken off.
    const read = server.listeners('connection');
    server.removeAllListeners('connection');
    const serve = (socket: Socket) => {
      for (const listener of read) Reflect.apply(listener, server, [socket]);
    };
    this.#tls = createTlsServer({
      ...certificate,
      handshakeTimeout: GREETING_MS,
      ALPNProtocols: ['http/1.1'],
      noDelay: true,
    });
    this.#tls.on('secureConnection', serve);
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on('connection', (socket: Socket) => this.#greet(socket, serve));
  }

  /** Greets with this from now on; connections that are open go on. */
  set certificate(certificate: Certificate) {
    this.#tls.setSecureContext({ ...certificate });
  }

  /** Ends the connections that have not said anything yet. */
  close(): void {
    for (const socket of this.#silent) socket.destroy();
  }

  #greet(socket: Socket, serve: (socket: Socket) => void): void {
    const stop = () => socket.destroy();
    this.#silent.add(socket);
    socket.on('error', stop);
    socket.setTimeout(GREETING_MS, stop);
    socket.on('close', () => this.#silent.delete(socket));
    socket.once('readable', () => {
      this.#silent.delete(socket);
      socket.setTimeout(0, stop);
      const first: unknown = socket.read(1);
      if (!Buffer.isBuffer(first)) {
        socket.destroy();
        return;
      }
      socket.off('error', stop);
      socket.unshift(first);
      if (first[0] === TLS_HANDSHAKE) this.#tls.emit('connection', socket);
      else serve(socket);
    });
  }
}
