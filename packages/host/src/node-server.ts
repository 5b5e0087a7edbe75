import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { pageFolder } from '@skein/dashboard';
import { createGateway, type Gateway, type GatewayBackend, readAssets } from '@skein/gateway';
import { type Connection, writeFileAtomic } from '@skein/mesh';
import type { Logger } from 'pino';
import type { NodeConfig } from './config/load-config.ts';
import type { DataDir } from './data-dir.ts';
import { HttpServer } from './http-server.ts';

const LOCAL_NAMES = ['localhost', '127.0.0.1', '[::1]'];

export interface NodeServerParts {
  readonly config: NodeConfig;
  readonly dir: DataDir;
  readonly backend: GatewayBackend;
  readonly listen: boolean;
  readonly log: Logger;
  readonly onConnection: (connection: Connection) => void;
}

/** What a node answers on its port: peers, and the gateway with the page. */
export class NodeServer implements AsyncDisposable {
  readonly #parts: NodeServerParts;
  readonly #stack = new AsyncDisposableStack();
  readonly token: string;
  /** Address of the page, without the token; null where none is served. */
  page: string | null = null;

  constructor(parts: NodeServerParts) {
    this.#parts = parts;
    this.token = loadToken(parts.dir.token);
  }

  /** Binds the port and resolves with it; 0 when the node does not listen. */
  async start(): Promise<number> {
    const { config, listen, onConnection } = this.#parts;
    if (!listen) return 0;
    const gateway = config.page.enabled ? await this.#createGateway() : undefined;
    const server = new HttpServer({
      host: config.net.enabled ? config.net.host : '127.0.0.1',
      port: config.net.port,
      maxConnections: config.net.maxConnections,
      onRequest: (request, response) => {
        if (gateway === undefined) response.writeHead(404).end();
        else void gateway.listener(request, response);
      },
      onConnection: (connection) =>
        config.net.enabled ? onConnection(connection) : connection.close('this node has no peers'),
    });
    this.#stack.use(server);
    const port = await server.start();
    if (gateway !== undefined) this.page = `http://127.0.0.1:${port}/`;
    return port;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #createGateway(): Promise<Gateway> {
    const { config, backend, log } = this.#parts;
    const gateway = createGateway({
      backend,
      token: this.token,
      allowedHosts: [...LOCAL_NAMES, ...config.page.allowedHosts],
      assets: await readAssets(pageFolder),
      now: Date.now,
      log,
    });
    return this.#stack.use(gateway);
  }
}

function loadToken(path: string): string {
  const kept = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  if (kept.length >= 32) return kept;
  const token = randomBytes(24).toString('base64url');
  writeFileAtomic(path, `${token}\n`);
  return token;
}
