import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pageFolder } from '@skein/dashboard';
import { createGateway, type Gateway, type GatewayBackend, readAssets } from '@skein/gateway';
import { type Connection, readOwnFile, systemClock, writeFileAtomic } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import type { Logger } from 'pino';
import { addressesToBind, addressOf, isAt } from './addresses.ts';
import { type Certificate, type CertificateFiles, CertificateWatch } from './certificate.ts';
import type { NodeConfig } from './config/load-config.ts';
import type { DataDir } from './data-dir.ts';
import { type HttpDialect, HttpServer } from './http-server.ts';

const TOKEN_BYTES_MAX = 1_000;
const LOOPBACK = '127.0.0.1';
const LOCAL_NAMES = ['localhost', LOOPBACK, '[::1]'];

export interface NodeServerParts {
  readonly config: NodeConfig;
  readonly dir: DataDir;
  readonly backend: GatewayBackend;
  readonly listen: boolean;
  readonly log: Logger;
  readonly onConnection: (connection: Connection) => void;
  /** Other systems' protocols, spoken to peers on the same port. */
  readonly dialects?: readonly HttpDialect[];
}

/** The addresses at which who comes is heard; undefined for nobody. */
interface Doors {
  readonly peersAt: string | undefined;
  readonly pageAt: string | undefined;
}

/** What a node answers on its port: peers at one address, and the gateway with the page at another or the same. */
export class NodeServer implements AsyncDisposable {
  readonly #parts: NodeServerParts;
  readonly #stack = new AsyncDisposableStack();
  readonly #servers: HttpServer[] = [];
  #certificate: Certificate | undefined;
  readonly token: string;
  /** Address of the page, without the token; null where none is served. */
  page: string | null = null;

  constructor(parts: NodeServerParts) {
    this.#parts = parts;
    this.token = loadToken(parts.dir.token);
  }

  /** Binds the port and resolves with it; 0 when the node does not listen. */
  async start(): Promise<number> {
    const { config, listen } = this.#parts;
    if (!listen) return 0;
    const { net, page } = config;
    if (net.tls !== undefined) this.#certificate = this.#watchCertificate(net.tls);
    const gateway = page.enabled ? await this.#createGateway() : undefined;
    const doors = {
      peersAt: net.enabled ? await addressOf(net.host) : undefined,
      pageAt: page.enabled ? await addressOf(page.host) : undefined,
    };
    const wanted = [doors.peersAt, doors.pageAt].filter((address) => address !== undefined);
    // The commands of this machine come to the loopback address, wherever else the page is served.
    if (page.enabled || wanted.length === 0) wanted.push(LOOPBACK);
    let { port } = net;
    for (const address of addressesToBind(wanted)) port = await this.#bind(address, port, { gateway, doors });
    if (gateway !== undefined) this.page = `http://${LOOPBACK}:${port}/`;
    return port;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** One bound address may be both doors' (0.0.0.0), so where a connection arrived decides for each. */
  async #bind(
    host: string,
    port: number,
    { gateway, doors }: { readonly gateway: Gateway | undefined; readonly doors: Doors },
  ): Promise<number> {
    const { config, onConnection, dialects = [] } = this.#parts;
    const server = new HttpServer({
      host,
      port,
      maxConnections: config.net.maxConnections,
      ...(this.#certificate === undefined ? {} : { certificate: this.#certificate }),
      dialects,
      isPeerDoor: (local) => doors.peersAt !== undefined && isAt(local, doors.peersAt),
      onRequest: (request: IncomingMessage, response: ServerResponse) => {
        const local = request.socket.localAddress;
        const isPageDoor = isAt(local, LOOPBACK) || (doors.pageAt !== undefined && isAt(local, doors.pageAt));
        if (gateway === undefined || !isPageDoor) response.writeHead(404).end();
        else void gateway.listener(request, response);
      },
      onConnection,
    });
    this.#stack.use(server);
    this.#servers.push(server);
    return server.start();
  }

  /** A certificate is renewed while the node runs; one that is no good is told of, and the one before stays. */
  #watchCertificate(files: CertificateFiles): Certificate {
    const { log } = this.#parts;
    const watch = new CertificateWatch({
      files,
      clock: systemClock,
      onChange: (certificate) => {
        this.#certificate = certificate;
        for (const server of this.#servers) server.renew(certificate);
        log.info({ cert: files.cert }, 'certificate renewed');
      },
      onProblem: (error) => log.error({ error: error.message }, 'certificate not renewed, the one before stays'),
    });
    return this.#stack.use(watch).certificate;
  }

  async #createGateway(): Promise<Gateway> {
    const { config, backend, log } = this.#parts;
    const { host } = config.page;
    const gateway = createGateway({
      backend,
      token: this.token,
      allowedHosts: [...LOCAL_NAMES, host.includes(':') ? `[${host}]` : host, ...config.page.allowedHosts],
      assets: await readAssets(pageFolder),
      now: Date.now,
      log,
    });
    return this.#stack.use(gateway);
  }
}

/** @throws SkeinError `denied` when others may read it, `corrupt` when it is none that this node would have made. */
function loadToken(path: string): string {
  const kept = readOwnFile(path, { maxBytes: TOKEN_BYTES_MAX, secret: true })?.trim();
  if (kept === undefined) {
    const token = randomBytes(24).toString('base64url');
    writeFileAtomic(path, `${token}\n`);
    return token;
  }
  if (/^[\w-]{32,}$/.test(kept)) return kept;
  throw new SkeinError(`${path} holds no token (32 or more letters, digits, "_" or "-"); remove it to have one made`, {
    code: 'corrupt',
  });
}
