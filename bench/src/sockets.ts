import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';
import type { Running } from './contender.ts';

/** A WebSocket server on a port the system chose; each message of a connection is answered with what `answer` gives. */
export async function serveSockets(answer: (message: Buffer) => string | Uint8Array): Promise<Running> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  server.on('connection', (socket, request) => {
    request.socket.setNoDelay(true);
    socket.on('message', (message) => socket.send(answer(bytesOf(message))));
  });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The system gave no port');
  return {
    facts: { url: `ws://127.0.0.1:${address.port}` },
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

/** An open socket; `onMessage` sees each message. */
export async function openSocket(url: string, onMessage: (message: Buffer) => void): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('upgrade', (response) => response.socket.setNoDelay(true));
  socket.on('message', (message) => onMessage(bytesOf(message)));
  await once(socket, 'open');
  return socket;
}

function bytesOf(message: Buffer | ArrayBuffer | readonly Buffer[]): Buffer {
  if (Buffer.isBuffer(message)) return message;
  throw new Error('A message of more than one part');
}
