import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { type Connection, HttpAcceptor, offersSkein, WebSocketAcceptor } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { isLoopback } from './addresses.ts';
import type { Certificate } from './certificate.ts';
import { Greeter } from './greeter.ts';

/** What speaks another system's protocol on the node's port, to peers and never to pages. */
export interface HttpDialect {
  /** Whether a request or upgrade is for it: asked before the page, which may share the address. */
  handles(request: IncomingMessage): boolean;
  onRequest(request: IncomingMessage, response: ServerResponse): void;
  /** An upgrade that does not offer this system's own protocol. The socket is its to end. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface HttpServerParts {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly maxConnections: number;
  /** Speaks TLS to whoever begins so. Plainly it then speaks only sessions, which are sealed anyway, and to this machine. */
  readonly certificate?: Certificate;
  /** Whether peers are heard at the local address where a connection arrived. */
  readonly isPeerDoor: (localAddress: string | undefined) => boolean;
  readonly dialects: readonly HttpDialect[];
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onConnection: (connection: Connection) => void;
}

/**
 * How long a connection may take to bring a request's head, and the whole request, and how often that is looked at. Node looks
 * every 30 s by itself, so that connections on which nothing is said could hold all places.
 */
const TIMES = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 2_000 } as const;

/** One bound address of a node: HTTP for its page and API, WebSockets and plain requests for its peers. */
export class HttpServer {
  readonly #parts: HttpServerParts;
  readonly #server: Server;
  readonly #greeter: Greeter | undefined;
  readonly #webSockets = new WebSocketAcceptor();
  readonly #requests: HttpAcceptor;

  constructor(parts: HttpServerParts) {
    this.#parts = parts;
    this.#requests = new HttpAcceptor({ maxConnections: parts.maxConnections });
    this.#server = createServer(TIMES, (request, response) => this.#request(request, response));
    this.#server.maxConnections = parts.maxConnections;
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    if (parts.certificate !== undefined) this.#greeter = new Greeter(this.#server, parts.certificate);
  }

  /** Greets with another certificate from now on; connections that are open go on. */
  renew(certificate: Certificate): void {
    if (this.#greeter !== undefined) this.#greeter.certificate = certificate;
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
    this.#webSockets.close();
    this.#greeter?.close();
    const ended = this.#requests.close();
    if (!this.#server.listening) return;
    // HTTP's own `close` also ends the sockets that are between two requests: the next one fetches the mesh's goodbye.
    Reflect.apply(NetServer.prototype.close, this.#server, []);
    // Not waited for: the mesh stops after this. It never rejects, and takes a second at most.
    void ended.then(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { isPeerDoor, dialects, onRequest, onConnection } = this.#parts;
    const isFromPeer = isPeerDoor(request.socket.localAddress) && request.headers.origin === undefined;
    if (isFromPeer && this.#requests.handles(request)) {
      this.#requests.onRequest(request, response, onConnection);
      return;
    }
    if (!this.#isPrivate(request)) {
      response.writeHead(403, { 'content-type': 'text/plain', connection: 'close' });
      response.end('This node has a certificate: begin the address with https://\n');
      return;
    }
    const dialect = isFromPeer ? dialects.find((one) => one.handles(request)) : undefined;
    if (dialect === undefined) onRequest(request, response);
    else dialect.onRequest(request, response);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { isPeerDoor, dialects, onConnection } = this.#parts;
    socket.on('error', () => socket.destroy());
    // Browsers always say where a page is from; nodes never do. A page must not open sessions in its reader's name.
    if (request.headers.origin !== undefined || !isPeerDoor(request.socket.localAddress)) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    if (this.#requests.handlesUpgrade(request)) {
      this.#requests.upgrade(request, socket, head);
      return;
    }
    const isOther = !offersSkein(request) && this.#isPrivate(request);
    const dialect = isOther ? dialects.find((one) => one.handles(request)) : undefined;
    if (dialect === undefined) this.#webSockets.upgrade(request, socket, head, onConnection);
    else dialect.onUpgrade(request, socket, head);
  }

  /** Whether nobody on the way reads it, as far as the one who set a certificate wants that. */
  #isPrivate({ socket }: IncomingMessage): boolean {
    return this.#greeter === undefined || socket instanceof TLSSocket || isLoopback(socket.remoteAddress);
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
