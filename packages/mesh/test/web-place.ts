import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Connection, HttpAcceptor, type HttpAcceptorParts, WebSocketAcceptor } from '../src/index.ts';
import { Accepted, listen } from './websocket-place.ts';

export interface WebPlace extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** The next connection that was accepted. */
  accepted(): Promise<Connection>;
  /** Goes away as a process does that is killed. */
  kill(): void;
}

export interface WebPlaceOptions extends HttpAcceptorParts {
  readonly accept?: (connection: Connection) => void;
}

/** An HTTP server on loopback that takes connections over WebSockets and over plain requests, as a node's does. */
export async function startWebPlace({ accept, ...parts }: WebPlaceOptions = {}): Promise<WebPlace> {
  const webSockets = new WebSocketAcceptor();
  const requests = new HttpAcceptor(parts);
  const accepted = new Accepted();
  const take = accept ?? ((connection: Connection) => accepted.push(connection));
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => requests.onRequest(request, response, take));
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (requests.handlesUpgrade(request)) requests.upgrade(request, socket, head);
    else webSockets.upgrade(request, socket, head, take);
  });
  const port = await listen(server);
  const kill = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    accepted: () => accepted.next(),
    kill,
    async [Symbol.asyncDispose]() {
      webSockets.close();
      // Its connections end by themselves, as those of a killed process do.
      void requests.close();
      kill();
    },
  };
}

/** A URL of loopback where nobody listens. */
export async function nobodyAt(scheme: 'ws' | 'http'): Promise<string> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  return `${scheme}://127.0.0.1:${port}`;
}
