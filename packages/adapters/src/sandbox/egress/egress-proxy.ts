import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Scope } from '@skein/agent';
import { abortReason, SkeinError } from '@skein/protocol';
import { pinned } from '../../tools/resolve-host.ts';
import { EgressPolicy, type EgressPolicyParts, type Target } from './egress-policy.ts';
import { withoutHopByHop } from './raw-headers.ts';
import { answerRefusal, type Refusal, refusalOf } from './refusals.ts';
import { parseAuthority, parseWebTarget } from './targets.ts';

export interface EgressLimits {
  /** At once, each with one to the outside; more are closed. */
  readonly maxConnections: number;
  /** Of the head of a request or an answer; a larger one is refused. */
  readonly maxHeadBytes: number;
  /** For a request's head to arrive, looked at about once in half of it. */
  readonly headTimeoutMs: number;
  /** For a name to resolve and a connection to stand. */
  readonly connectTimeoutMs: number;
  /** A connection on which nothing moves is closed after this. */
  readonly idleTimeoutMs: number;
}

const EGRESS_LIMITS: EgressLimits = {
  maxConnections: 64,
  maxHeadBytes: 16_384,
  headTimeoutMs: 10_000,
  connectTimeoutMs: 15_000,
  idleTimeoutMs: 600_000,
};

export interface EgressProxyParts extends EgressPolicyParts {
  /** Told of each host and port that was refused, once, up to a bound. */
  readonly onRefused: (message: string) => void;
  readonly limits?: Partial<EgressLimits>;
}

/** Hosts and ports whose refusal is told. */
const MAX_TOLD = 64;

/**
 * An HTTP proxy (RFC 9110, 9.3.6 and RFC 9112, 3.2.2) for one program, to the hosts that it was granted and no others.
 * What is checked is what is connected with: each request anew, by the address that was looked up for it. What goes
 * through a tunnel of CONNECT it does not read.
 */
export class EgressProxy implements Disposable {
  readonly #policy: EgressPolicy;
  readonly #limits: EgressLimits;
  readonly #onRefused: (message: string) => void;
  readonly #server: http.Server;
  readonly #closing = new AbortController();
  /** Every connection of the program, whatever became of it. */
  readonly #clients = new Set<Duplex>();
  /** Those whose request is being served. */
  readonly #busy = new Set<Duplex>();
  readonly #told = new Set<string>();
  #refusals = 0;
  #lastRefusal: string | undefined;

  constructor(parts: EgressProxyParts) {
    this.#policy = new EgressPolicy(parts);
    this.#limits = { ...EGRESS_LIMITS, ...parts.limits };
    this.#onRefused = parts.onRefused;
    const { maxConnections, maxHeadBytes, headTimeoutMs, idleTimeoutMs } = this.#limits;
    this.#server = http.createServer({
      maxHeaderSize: maxHeadBytes,
      headersTimeout: headTimeoutMs,
      // A body may take its time, as long as it moves.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.ceil(headTimeoutMs / 2),
    });
    this.#server.maxConnections = maxConnections;
    this.#server.timeout = idleTimeoutMs;
    this.#server.on('connection', (client) => {
      this.#clients.add(client);
      client.once('close', () => this.#clients.delete(client));
    });
    this.#server.on('request', (request, response) => void this.#forward(request, response));
    this.#server.on('connect', (request, client, head) => void this.#tunnel(request, client, head));
  }

  /** How many requests were refused since it began, and the last of them in words. */
  get refusals(): { readonly count: number; readonly last: string | undefined } {
    return { count: this.#refusals, last: this.#lastRefusal };
  }

  /** Serves what comes to a socket that listens. */
  serve(listener: net.Server): void {
    if (this.#closing.signal.aborted) listener.close();
    else this.#server.listen(listener);
  }

  /** Ends all connections at once. */
  [Symbol.dispose](): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new SkeinError('The program has ended', { code: 'canceled' }));
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  /** Never rejects. */
  async #tunnel(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    client.on('error', () => client.destroy());
    // It came behind a request that is not answered yet, whose answer would go into the tunnel.
    if (this.#busy.has(client)) {
      client.destroy();
      return;
    }
    const target = parseAuthority(request.url ?? '');
    try {
      if (target === undefined) throw new SkeinError('CONNECT takes a host and a port', { code: 'invalid' });
      const upstream = await this.#connect(target, client);
      closeWhenIdle(client, this.#limits.idleTimeoutMs);
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) upstream.write(head);
      // How either of them failed is known to both ends; each `pipeline` ends the two.
      await Promise.allSettled([pipeline(client, upstream), pipeline(upstream, client)]);
    } catch (error) {
      const refusal = this.#refuse(target, error);
      if (!client.destroyed) client.end(answerRefusal(refusal));
    }
  }

  /** Never rejects. */
  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const client = request.socket;
    // A second request before the first is answered: nobody who may reach something needs that, and each would connect.
    if (this.#busy.has(client)) {
      client.destroy();
      return;
    }
    this.#busy.add(client);
    response.once('close', () => this.#busy.delete(client));
    const target = parseWebTarget(request.url ?? '');
    try {
      if (target === undefined) {
        throw new SkeinError('This proxy takes CONNECT and whole http:// addresses', { code: 'invalid' });
      }
      await this.#exchange(request, response, target);
    } catch (error) {
      const { status, reason, text } = this.#refuse(target, error);
      if (response.headersSent) response.destroy();
      else response.writeHead(status, reason, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(text);
    }
  }

  async #exchange(
    request: IncomingMessage,
    response: ServerResponse,
    target: NonNullable<ReturnType<typeof parseWebTarget>>,
  ): Promise<void> {
    const upstream = await this.#connect(target, request.socket);
    const framing = request.headers['transfer-encoding'] === undefined ? [] : ['Transfer-Encoding', 'chunked'];
    const outgoing = http.request({
      createConnection: () => upstream,
      method: request.method ?? 'GET',
      path: target.path,
      // The one host that was checked; what the program says of it counts for nothing (RFC 9112, 3.2.2).
      headers: ['Host', target.authority, ...framing, ...withoutHopByHop(request.rawHeaders, ['host', 'expect'])],
      maxHeaderSize: this.#limits.maxHeadBytes,
    });
    response.once('close', () => outgoing.destroy());
    const answered = Promise.withResolvers<IncomingMessage>();
    outgoing.once('response', answered.resolve);
    // What comes after the answer is of no use to anybody.
    outgoing.on('error', answered.reject);
    // All that is told of an answer that changes the protocol (101), which is not passed on.
    outgoing.once('close', () =>
      answered.reject(new SkeinError(`${target.host}:${target.port} gave no answer`, { code: 'unavailable' })),
    );
    // An answer may come before all is sent; what is left of the body then fails by itself.
    pipeline(request, outgoing).catch(() => undefined);
    const incoming = await answered.promise;
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, withoutHopByHop(incoming.rawHeaders));
    await pipeline(incoming, response);
  }

  /** A connection to the very address that was checked; it ends with the client's. */
  async #connect(target: Target, client: Duplex): Promise<net.Socket> {
    const { connectTimeoutMs, idleTimeoutMs } = this.#limits;
    const { host, port } = target;
    using scope = new Scope({
      parent: this.#closing.signal,
      timeoutMs: connectTimeoutMs,
      what: `Connecting with ${host}:${port}`,
    });
    const gone = () => scope.abort(new SkeinError('The program has hung up', { code: 'canceled' }));
    client.once('close', gone);
    if (client.destroyed) gone();
    try {
      const addresses = await this.#policy.permittedAddresses(target, scope.signal);
      const upstream = net.connect({ host, port, lookup: pinned(addresses), allowHalfOpen: true });
      upstream.on('error', () => upstream.destroy());
      try {
        await once(upstream, 'connect', { signal: scope.signal });
      } catch (error) {
        upstream.destroy();
        throw error;
      }
      client.once('close', () => upstream.destroy());
      closeWhenIdle(upstream, idleTimeoutMs);
      return upstream;
    } catch (error) {
      throw scope.signal.aborted ? abortReason(scope.signal) : error;
    } finally {
      client.off('close', gone);
    }
  }

  #refuse(target: Target | undefined, error: unknown): Refusal {
    const refusal = refusalOf(error, target);
    if (refusal.denied) {
      this.#refusals += 1;
      this.#lastRefusal = refusal.text;
      this.#tell(`${target?.host}:${target?.port}`, refusal.text);
    }
    return refusal;
  }

  #tell(host: string, text: string): void {
    if (this.#told.has(host) || this.#told.size > MAX_TOLD) return;
    this.#told.add(host);
    this.#onRefused(this.#told.size > MAX_TOLD ? `more than ${MAX_TOLD} hosts were refused; no more are told` : text);
  }
}

function closeWhenIdle(stream: Duplex, idleTimeoutMs: number): void {
  if (stream instanceof net.Socket) stream.setTimeout(idleTimeoutMs, () => stream.destroy());
}
