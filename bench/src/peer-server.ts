// A mesh in a process of its own that lets everybody in, for figures about sessions: tells its port, then on request how
// much memory it holds.
import { createServer } from 'node:http';
import { WebSocketAcceptor } from '@skein/mesh';
import { openMesh } from './open-mesh.ts';

const mesh = openMesh('server', []);
const acceptor = new WebSocketAcceptor();
const server = createServer();
server.on('upgrade', (request, socket, head) =>
  acceptor.upgrade(request, socket, head, (connection) => mesh.accept(connection)),
);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : undefined });
});
process.on('message', () => {
  globalThis.gc?.();
  process.send?.({ peers: mesh.peers.size, bytes: process.memoryUsage().rss });
});
process.on('disconnect', async () => {
  await mesh[Symbol.asyncDispose]();
  server.close();
  server.closeAllConnections();
});
