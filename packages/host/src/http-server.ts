import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Connection, WebSocketAcceptor } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

export interface HttpServerParts {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly maxConnections: number;
  /** Whether peers are heard at the local address where a connection arrived. */
  readonly isPeerDoor: (localAddress: string | undefined) => boolean;
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onConnection: (connection: Connection) => void;
}

/** One bound address of a node: HTTP for its page and API, WebSockets for its peers. */
export class HttpServer {
  readonly #parts: HttpServerParts;
  readonly #server: Server;
  readonly #acceptor = new WebSocketAcceptor();

  constructor(parts: HttpServerParts) {
    this.#parts = parts;
    this.#server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, parts.onRequest);
    this.#server.maxConnections = parts.maxConnections;
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Binds the port and resolves with it. @throws SkeinError `conflict` or `denied` when it cannot be had. */
  start(): Promise<number> {
    const { host, port } = this.#parts;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => reject(bindError(error, host, port)));
      this.#server.listen({ host, port }, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Takes no more connections and ends those of HTTP. Those of peers belong to the mesh, which says goodbye first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#acceptor.close();
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    // Browsers always say where a page is from; nodes never do. A page must not open sessions in its reader's name.
    if (request.headers.origin !== undefined || !this.#parts.isPeerDoor(request.socket.localAddress)) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#acceptor.upgrade(request, socket, head, this.#parts.onConnection);
  }
}

function bindError(error: NodeJS.ErrnoException, host: string, port: number): SkeinError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new SkeinError(
        `Port ${port} on ${host} is in use by another program; stop it, or choose another with --port or net.port (0 lets the system choose)`,
        { code: 'conflict', cause: error },
      );
    case 'EACCES':
      return new SkeinError(`Port ${port} needs rights this user does not have; choose one above 1023`, {
        code: 'denied',
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new SkeinError(`This machine has no address "${host}" (net.host)`, { code: 'invalid', cause: error });
    default:
      return new SkeinError(`Cannot listen on ${host}:${port}: ${error.message}`, { code: 'unavailable', cause: error });
  }
}
