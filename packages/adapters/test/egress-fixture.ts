import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { type EgressLimits, EgressProxy } from '../src/sandbox/egress/egress-proxy.ts';
import { parseHostGrant } from '../src/sandbox/egress/host-grant.ts';
import type { ResolveHost } from '../src/tools/address-policy.ts';

/** A server on loopback that keeps what it was asked. */
export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** `host:port`, as in a list. */
  readonly authority: string;
  readonly connections: () => number;
}

/** HTTP by default; with `listen`, whatever that does with a connection. */
export async function serveHttp(
  listener: RequestListener = (request, response) => response.end(`${request.method} ${request.url} ${request.headers.host}`),
  server: net.Server = http.createServer(listener),
  host = '127.0.0.1',
): Promise<TestServer> {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  server.on('connection', (socket: net.Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, 'listening');
  // Proven: it listens on TCP.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    authority: `${host}:${port}`,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** The proxy alone, at a port of this machine. */
export interface TestProxy extends Disposable {
  readonly port: number;
  readonly told: readonly string[];
  readonly proxy: EgressProxy;
  /** Writes this, and resolves to all that comes back until the proxy closes the connection. */
  send(text: string): Promise<string>;
  /** An open connection. */
  open(text?: string): Promise<net.Socket>;
}

export async function startProxy(
  entries: readonly string[],
  { resolveHost, limits }: { readonly resolveHost?: ResolveHost; readonly limits?: Partial<EgressLimits> } = {},
): Promise<TestProxy> {
  const told: string[] = [];
  const proxy = new EgressProxy({
    grants: entries.map(parseHostGrant),
    listedIn: 'the list',
    onRefused: (message) => told.push(message),
    ...(resolveHost === undefined ? {} : { resolveHost }),
    ...(limits === undefined ? {} : { limits }),
  });
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  // Proven: it listens on TCP.
  const { port } = listener.address() as AddressInfo;
  proxy.serve(listener);
  const open = async (text = '') => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    if (text !== '') socket.write(text);
    return socket;
  };
  return {
    port,
    told,
    proxy,
    open,
    async send(text) {
      const socket = await open(text);
      let got = '';
      socket.on('data', (chunk: Buffer) => {
        got += chunk.toString('latin1');
      });
      await once(socket, 'close');
      return got;
    },
    [Symbol.dispose]: () => proxy[Symbol.dispose](),
  };
}
