import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Clock, systemClock } from '../clock.ts';
import { HTTP_HEADERS, type HttpRoute, httpRouteOf } from './http-wire.ts';
import { answer, PolledCarrier, refuse } from './polled-carrier.ts';
import { SocketCarrier } from './socket-carrier.ts';
import { StreamConnection } from './stream-connection.ts';
import type { Connection } from './transport.ts';
import { createUpgrades } from './websocket.ts';

/** Bytes of what names a connection: nobody guesses it, and who learns it gains nothing but to disturb. */
const ID_BYTES = 32;
const CONNECTIONS_MAX = 10_000;
/** How long connections may last after the acceptor has closed. */
const CLOSE_MS = 1_000;

export interface HttpAcceptorParts {
  /** Connections at one time; one more is refused. */
  readonly maxConnections?: number;
  readonly clock?: Clock;
}

interface Accepted {
  readonly connection: StreamConnection;
  readonly carrier: PolledCarrier;
}

/** Takes the requests that carry connections off an HTTP server that somebody else owns. */
export class HttpAcceptor {
  readonly #maxConnections: number;
  readonly #clock: Clock;
  readonly #upgrades = createUpgrades();
  #isClosed = false;
  readonly #accepted = new Map<string, Accepted>();

  constructor({ maxConnections = CONNECTIONS_MAX, clock = systemClock }: HttpAcceptorParts = {}) {
    this.#maxConnections = maxConnections;
    this.#clock = clock;
  }

  /** Whether a request is one of a connection. */
  handles(request: IncomingMessage): boolean {
    return httpRouteOf(request.url) !== undefined;
  }

  /** Answers one request of a connection; `accept` is given the connection that it opens. */
  onRequest(request: IncomingMessage, response: ServerResponse, accept: (connection: Connection) => void): void {
    const route = httpRouteOf(request.url);
    if (route === undefined || request.method !== (route === 'down' || route === 'hold' ? 'GET' : 'POST'))
      refuse(response, 405);
    else if (request.headers.origin !== undefined) refuse(response, 403);
    else if (route === 'open') this.#open(request, response, accept);
    else this.#carry(route, request, response);
  }

  /** Whether an upgrade request is to carry on a connection that HTTP began. */
  handlesUpgrade(request: IncomingMessage): boolean {
    return request.headers[HTTP_HEADERS.connection] !== undefined;
  }

  /** Answers such an upgrade request. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const accepted = this.#of(request);
    // A stranger has nothing to carry on.
    if (accepted === undefined || !accepted.connection.isAdmitted || accepted.connection.isClosing) {
      socket.end('HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const { connection } = accepted;
    this.#upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      const carrier = new SocketCarrier({ connection, socket: webSocket, raw: request.socket, role: 'listener' });
      connection.ended.addEventListener('abort', () => carrier.stop(), { once: true });
    });
  }

  /**
   * Opens no more connections. Those that are open belong to the mesh, which says goodbye over them; resolves when they
   * have ended, which they must soon.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#upgrades.close();
    const open = [...this.#accepted.values()].map(({ connection }) => connection);
    const release = this.#clock.after(CLOSE_MS, () => {
      for (const connection of open) connection.cut('the node stopped');
    });
    const ends = open.map(({ ended }) => ended.aborted || once(ended, 'abort'));
    await Promise.all(ends);
    release();
  }

  #of(request: IncomingMessage): Accepted | undefined {
    const id = request.headers[HTTP_HEADERS.connection];
    return typeof id === 'string' ? this.#accepted.get(id) : undefined;
  }

  #open(request: IncomingMessage, response: ServerResponse, accept: (connection: Connection) => void): void {
    if (this.#isClosed || this.#accepted.size >= this.#maxConnections) {
      refuse(response, 503);
      return;
    }
    const id = randomBytes(ID_BYTES).toString('base64url');
    const clock = this.#clock;
    const connection = new StreamConnection({ remoteAddress: request.socket.remoteAddress ?? 'unknown', clock });
    const carrier = new PolledCarrier({ connection, clock });
    connection.carryBy(carrier);
    this.#accepted.set(id, { connection, carrier });
    connection.ended.addEventListener('abort', () => this.#accepted.delete(id), { once: true });
    accept(connection);
    // Refused as one stranger too many, perhaps: what is ended already is not worth a visit.
    if (connection.isClosing) {
      connection.finish('refused');
      refuse(response, 503);
    } else answer(response, { [HTTP_HEADERS.connection]: id, [HTTP_HEADERS.offset]: 0 });
  }

  #carry(route: Exclude<HttpRoute, 'open'>, request: IncomingMessage, response: ServerResponse): void {
    const accepted = this.#of(request);
    if (accepted === undefined) {
      refuse(response, 410);
      return;
    }
    const { connection, carrier } = accepted;
    switch (route) {
      case 'up':
        void carrier.up(request, response);
        break;
      case 'down':
        carrier.down(request, response);
        break;
      case 'hold':
        carrier.hold(response);
        break;
      case 'end':
        answer(response, { [HTTP_HEADERS.offset]: connection.incoming.taken });
        connection.finish('the connection broke');
        break;
    }
  }
}
