import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Usage } from './messages.ts';

/** Counts from now on what this process sends and accepts, below everything the nodes know of. */
export function countTraffic(): () => Omit<Usage, 'cpuMs'> {
  let messages = 0;
  let bytesOfClosed = 0;
  const open = new Set<Socket>();
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function count(this: WebSocket, ...args: unknown[]) {
    messages += 1;
    Reflect.apply(send, this, args);
  };
  subscribe('net.server.socket', (message) => {
    // Proven: Node publishes an object with the socket of each connection it accepts (node:diagnostics_channel, "Net").
    const { socket } = message as { readonly socket: unknown };
    if (!(socket instanceof Socket)) return;
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      bytesOfClosed += bytesOf(socket);
    });
  });
  return () => {
    let bytes = bytesOfClosed;
    for (const socket of open) bytes += bytesOf(socket);
    return { messages, bytes, sockets: open.size };
  };
}

function bytesOf({ bytesRead, bytesWritten }: Socket): number {
  return bytesRead + bytesWritten;
}
