import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, TokenBucket } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { collect } from './http-client.ts';
import { VOLE_MESSAGE_BYTES_MAX } from './limits.ts';

/** Requests of one address a second, before it is known who sends; and addresses that are remembered. */
const REQUESTS_PER_SECOND = 100;
const ADDRESSES_MAX = 1_024;

export interface HttpDoorParts {
  readonly clock: Clock;
  /** This node's own key line, and its name where that is shown to strangers. */
  readonly line: string;
  readonly name: string | undefined;
  /** Takes one message and gives the message to answer with, as text, if any. @throws SkeinError. */
  readonly onMessage: (bytes: Buffer) => string | undefined;
  readonly onRefused: (error: SkeinError, address: string) => void;
}

/** What VoleNet asks over HTTP. Nobody asks to be trusted here: that takes a key line, or an invitation of ours. */
export class HttpDoor {
  readonly #parts: HttpDoorParts;
  readonly #requests = new Map<string, TokenBucket>();

  constructor(parts: HttpDoorParts) {
    this.#parts = parts;
  }

  /** True for a path that is VoleNet's. */
  handles({ url = '' }: Pick<IncomingMessage, 'url'>): boolean {
    return url === '/health' || url.startsWith('/volenet/');
  }

  /** Answers one request; never throws. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = request.socket.remoteAddress ?? 'unknown';
    try {
      const { status, body } = await this.#route(request, address);
      if (response.destroyed) return;
      const text = body === undefined ? '' : JSON.stringify(body);
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
    } catch (thrown) {
      this.#parts.onRefused(SkeinError.from(thrown), address);
      // The body was too large or broke off; there is nobody to tell.
      request.destroy();
    }
  }

  async #route(request: IncomingMessage, address: string): Promise<{ readonly status: number; readonly body?: object }> {
    // Browsers always say where a page is from; nodes never do.
    if (request.headers.origin !== undefined) return { status: 403, body: { error: 'not for browsers' } };
    switch (`${request.method} ${request.url}`) {
      case 'GET /health':
        // The last word is ours: a node that speaks both is better met as what it is.
        return { status: 200, body: { status: 'ok', protocol: 'volenet', version: 1, skein: 1 } };
      case 'GET /volenet/info':
        return { status: 200, body: this.#info() };
      case 'POST /volenet/message':
        return this.#message(request, address);
      default:
        return { status: 404 };
    }
  }

  async #message(request: IncomingMessage, address: string) {
    if (this.#bucketOf(address).take(1, this.#parts.clock.monotonicMs()) > 0) {
      request.resume();
      return { status: 429, body: { error: 'rate limited' } };
    }
    const bytes = await collect(request, VOLE_MESSAGE_BYTES_MAX);
    try {
      const reply = this.#parts.onMessage(bytes);
      // Proven: this node has just written it.
      return { status: 200, body: reply === undefined ? { ok: true } : { ok: true, response: JSON.parse(reply) as object } };
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      this.#parts.onRefused(error, address);
      if (error.code === 'invalid') return { status: 400, body: { error: 'Invalid message' } };
      if (error.code === 'busy') return { status: 429, body: { error: 'rate limited' } };
      // Verified, and of no use here: as it is there, that is no error of the message.
      if (error.code === 'unsupported' || error.code === 'denied') return { status: 200, body: { ok: true } };
      return { status: 401, body: { error: 'unverified' } };
    }
  }

  /** Whom this node knows is nobody's business, so the list of peers is empty for all. */
  #info() {
    const { line, name } = this.#parts;
    return {
      ok: true,
      protocol: 'volenet',
      version: 1,
      publicKey: line,
      ...(name === undefined ? {} : { name }),
      peers: [],
      peerCount: 0,
      websocketConnections: 0,
    };
  }

  #bucketOf(address: string): TokenBucket {
    const bucket = this.#requests.get(address) ?? new TokenBucket(REQUESTS_PER_SECOND, this.#parts.clock.monotonicMs());
    remember(this.#requests, address, bucket);
    return bucket;
  }
}

/** Puts the entry last; at the bound the one unused for longest is forgotten. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  const [oldest] = map.keys();
  if (map.size >= ADDRESSES_MAX && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}
