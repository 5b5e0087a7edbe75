import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request as requestTo, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';

/** What the proxy does beyond passing requests and answers on. */
export interface ProxyManners {
  /** WebSocket upgrades: answered with 400, broken off, left without an answer, or let through. Default: refused. */
  readonly upgrades?: 'refuse' | 'reset' | 'swallow' | 'pass';
  /** An exchange that takes longer is cut on both sides, and its client told 504. */
  readonly cutAfterMs?: number;
  /** Takes everything, those that wait included, and passes nothing on any more, nor tells anybody. */
  readonly swallows?: boolean;
  /** Requests reach the target this much later, and so does what is said over an upgraded connection. */
  readonly requestDelayMs?: number;
  readonly upgradeDelayMs?: number;
  /** Chosen requests reach the target, and their answers nobody. */
  readonly losesAnswer?: (count: number) => boolean;
  /** Chosen requests reach the target twice, as when a proxy tries again; the second answer counts. */
  readonly repeats?: (count: number) => boolean;
}

/**
 * An HTTP proxy on loopback of the kind that spoils long connections: it reads each request and each answer to the end
 * before it passes it on.
 */
export class BufferingProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #upgraded = new Set<Duplex>();
  readonly #waiting = new Set<() => void>();
  manners: ProxyManners;
  /** Requests that were passed on. */
  count = 0;
  /** Upgrades that were asked for. */
  upgrades = 0;
  readonly port: number;

  private constructor(parts: { server: Server; port: number; targetPort: number; manners: ProxyManners }) {
    this.#server = parts.server;
    this.#targetPort = parts.targetPort;
    this.port = parts.port;
    this.manners = parts.manners;
  }

  /** Listens on a port the system chooses and passes everything to this port of loopback. */
  static async start(targetPort: number, manners: ProxyManners = {}): Promise<BufferingProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('The proxy listens on no TCP port');
    const proxy = new BufferingProxy({ server, port: address.port, targetPort, manners });
    server.on('request', (request, response) => void proxy.#pass(request, response));
    server.on('upgrade', (request, socket, head) => proxy.#upgrade(request, socket, head));
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Resolves when so many requests were passed on. */
  async counted(count: number): Promise<void> {
    while (this.count < count) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Breaks every connection, both ways. */
  reset(): void {
    this.#server.closeAllConnections();
    this.#agent.destroy();
    for (const socket of this.#upgraded) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.reset();
    await closed;
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { cutAfterMs, losesAnswer, repeats } = this.manners;
    this.count += 1;
    const { count } = this;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
    const cut = new AbortController();
    const timer =
      cutAfterMs === undefined
        ? undefined
        : setTimeout(() => {
            response.writeHead(504, { 'content-length': 0 }).end();
            cut.abort();
          }, cutAfterMs);
    // A client that has gone takes its exchange with it.
    response.on('close', () => cut.abort());
    try {
      const body = await buffer(request);
      if (this.manners.requestDelayMs !== undefined) await wait(this.manners.requestDelayMs);
      if (this.manners.swallows) return;
      if (repeats?.(count)) await this.#exchange(request, body, cut.signal);
      const answer = await this.#exchange(request, body, cut.signal);
      if (this.manners.swallows) return;
      if (losesAnswer?.(count)) request.socket.destroy();
      else response.writeHead(answer.status, answer.headers).end(answer.body);
    } catch {
      if (!response.headersSent && !this.manners.swallows) response.writeHead(502, { 'content-length': 0 }).end();
    } finally {
      clearTimeout(timer);
    }
  }

  async #exchange({ method, url, headers }: IncomingMessage, body: Buffer, signal: AbortSignal) {
    const { connection: _ofThisHop, ...rest } = headers;
    const request = requestTo({
      port: this.#targetPort,
      host: '127.0.0.1',
      method,
      path: url,
      headers: rest,
      agent: this.#agent,
      signal,
    });
    // Also when it is cut after its answer began.
    request.on('error', () => request.destroy());
    request.end(body);
    const [answer]: IncomingMessage[] = await once(request, 'response', { signal });
    if (answer === undefined) throw new Error('no answer');
    const { connection: _ofThatHop, ...kept } = answer.headers;
    return { status: answer.statusCode ?? 502, headers: kept, body: await buffer(answer) };
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades += 1;
    this.#upgraded.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#upgraded.delete(socket));
    switch (this.manners.upgrades ?? 'refuse') {
      case 'refuse':
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        break;
      case 'reset':
        // Proven: over plain HTTP it is a socket.
        (socket as Socket).resetAndDestroy();
        break;
      case 'swallow':
        socket.resume();
        break;
      case 'pass': {
        const target = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true });
        target.on('error', () => socket.destroy());
        target.on('close', () => socket.destroy());
        socket.on('close', () => target.destroy());
        const lines = request.rawHeaders.flatMap((name, at, all) => (at % 2 === 0 ? [`${name}: ${all[at + 1]}`] : []));
        target.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
        target.write(head);
        target.pipe(socket);
        socket.on('data', (bytes: Buffer) => {
          const { upgradeDelayMs } = this.manners;
          if (upgradeDelayMs === undefined) target.write(bytes);
          else setTimeout(() => target.write(bytes), upgradeDelayMs);
        });
        break;
      }
    }
  }
}
