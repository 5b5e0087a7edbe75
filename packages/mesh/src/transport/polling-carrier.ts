import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { SkeinError } from '@skein/protocol';
import type { Clock } from '../clock.ts';
import { delay } from '../dialer.ts';
import { HTTP_HEADERS, HTTP_POLL_MS, type HttpRoute, httpUrl, numberHeader } from './http-wire.ts';
import { Pace } from './pace.ts';
import type { Carrier, StreamConnection } from './stream-connection.ts';

/** How long an answer may take beyond what the far end holds it on purpose. */
const ANSWER_MS = 10_000;
/** Waits before the next try, after the first, second, … failure in a row. */
const RETRY_MS = [0, 50, 100, 200, 200] as const;
/** A try that failed after so long was cut in its waiting: the next is a first one. */
const HELD_MS = 1_000;
/** What a node, or what stands in front of it, answers for now and not for good. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

export interface PollingCarrierParts {
  readonly connection: StreamConnection;
  /** The address that was dialled. */
  readonly url: string;
  readonly id: string;
  readonly agent: http.Agent;
  readonly clock: Clock;
}

/**
 * The dialler's side of a connection over HTTP: one request that brings, one that waits for what the far end has, and one
 * that only waits.
 */
export class PollingCarrier implements Carrier {
  readonly transport = 'http';
  readonly #parts: PollingCarrierParts;
  readonly #requests = new Set<ClientRequest>();
  readonly #stopped = new AbortController();
  #isPolling = false;
  #isPosting = false;

  constructor(parts: PollingCarrierParts) {
    this.#parts = parts;
  }

  wake(): void {
    if (this.#isPosting || this.#stopped.signal.aborted) return;
    this.#isPosting = true;
    // What is sent in this turn goes together.
    process.nextTick(() => void this.#post().finally(() => (this.#isPosting = false)));
  }

  attached(): void {
    if (this.#isPolling) return;
    this.#isPolling = true;
    void this.#poll();
    void this.#hold();
  }

  cut(): void {
    if (this.#stopped.signal.aborted) return;
    const { url, id } = this.#parts;
    // On a socket of its own: the others may be stuck, and are about to be destroyed.
    const request = startRequest('POST', httpUrl(url, 'end'), { agent: false, headers: { [HTTP_HEADERS.connection]: id } });
    request.on('error', () => request.destroy());
    request.on('response', (response) => response.resume());
    request.setTimeout(ANSWER_MS, () => request.destroy());
    request.end();
  }

  stop(): void {
    this.#stopped.abort();
    for (const request of this.#requests) request.destroy();
    this.#parts.agent.destroy();
  }

  /** Sends what waits, one body after the other; a body that was lost is sent again from where the far end is. */
  async #post(): Promise<void> {
    const { connection, clock } = this.#parts;
    const { outgoing } = connection;
    const pace = new Pace();
    const tries = new Tries(this.#parts.clock, this.#stopped.signal);
    while (!this.#stopped.signal.aborted) {
      const isLast = connection.isClosing && outgoing.waiting <= pace.bytes;
      if (outgoing.waiting === 0 && !isLast) return;
      const body = outgoing.slice(outgoing.start, pace.bytes);
      const startedMs = clock.monotonicMs();
      try {
        const headers = { [HTTP_HEADERS.offset]: outgoing.start, ...(isLast ? { [HTTP_HEADERS.end]: '1' } : {}) };
        const response = await this.#ask('POST', 'up', headers, body);
        response.resume();
        connection.acknowledge(numberHeader(response, HTTP_HEADERS.offset) ?? -1);
        tries.succeeded();
        if (body.length === pace.bytes) pace.took(clock.monotonicMs() - startedMs);
        if (isLast && outgoing.waiting === 0) connection.finish('closed');
      } catch (error) {
        pace.failed();
        await this.#failed(error, tries, startedMs);
      }
    }
  }

  /** Asks for what the far end has, again and again; each request says how far the last answers came. */
  async #poll(): Promise<void> {
    const { connection, clock } = this.#parts;
    const { incoming } = connection;
    const pace = new Pace();
    const tries = new Tries(clock, this.#stopped.signal);
    while (!this.#stopped.signal.aborted) {
      const startedMs = clock.monotonicMs();
      const from = incoming.taken;
      const maxBytes = pace.bytes;
      try {
        const headers = { [HTTP_HEADERS.offset]: from, [HTTP_HEADERS.maxBytes]: maxBytes };
        const response = await this.#ask('GET', 'down', headers);
        if (numberHeader(response, HTTP_HEADERS.offset) !== from) throw new Gone('the far end answered something else');
        for await (const bytes of response) {
          tries.succeeded();
          await connection.take(bytes);
          if (this.#stopped.signal.aborted) return;
        }
        tries.succeeded();
        if (response.headers[HTTP_HEADERS.end] === '1') connection.finish('the other end closed');
        if (incoming.taken - from === maxBytes) pace.took(clock.monotonicMs() - startedMs);
      } catch (error) {
        pace.failed();
        await this.#failed(error, tries, startedMs);
      }
    }
  }

  /**
   * Keeps a request waiting at the far end at every moment, the next one sent before the last is answered: when this
   * process goes it breaks off there, also while no other waits.
   */
  async #hold(): Promise<void> {
    const { clock } = this.#parts;
    const tries = new Tries(clock, this.#stopped.signal);
    while (!this.#stopped.signal.aborted) {
      const startedMs = clock.monotonicMs();
      const due = Promise.withResolvers<void>();
      const release = clock.after(HTTP_POLL_MS, due.resolve);
      try {
        const answered = this.#ask('GET', 'hold', {}).then((response) => void response.resume());
        await Promise.race([answered, due.promise]);
        tries.succeeded();
      } catch (error) {
        await this.#failed(error, tries, startedMs);
      } finally {
        release();
      }
    }
  }

  /** Waits for the next try, or ends the connection when there is none. */
  async #failed(error: unknown, tries: Tries, startedMs: number): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    if (!isLasting(error) && (await tries.again(startedMs))) return;
    const { message } = SkeinError.from(error);
    this.#parts.connection.finish(error instanceof Gone ? message : `the connection broke: ${message}`);
  }

  /** One exchange with the far end, as far as the head of its answer. @throws Gone, or what Node says of the socket. */
  async #ask(
    method: 'GET' | 'POST',
    route: HttpRoute,
    headers: Readonly<Record<string, string | number>>,
    body?: Buffer,
  ): Promise<IncomingMessage> {
    const { url, id, agent, clock } = this.#parts;
    const request = startRequest(method, httpUrl(url, route), {
      agent,
      headers: {
        [HTTP_HEADERS.connection]: id,
        'cache-control': 'no-store',
        ...(body === undefined ? {} : { 'content-type': 'application/octet-stream', 'content-length': body.length }),
        ...headers,
      },
    });
    this.#requests.add(request);
    request.on('close', () => this.#requests.delete(request));
    const release = clock.after(method === 'GET' ? HTTP_POLL_MS + ANSWER_MS : ANSWER_MS, () =>
      request.destroy(new SkeinError('no answer came', { code: 'unavailable' })),
    );
    try {
      const response = await answerOf(request, body);
      if (response.statusCode === 200 && numberHeader(response, HTTP_HEADERS.offset) !== undefined) return response;
      response.resume();
      const problem = `the answer was HTTP ${response.statusCode}`;
      if (response.statusCode === 410) throw new Gone('the other end closed');
      throw PASSING.has(response.statusCode ?? 0) ? new SkeinError(problem, { code: 'unavailable' }) : new Gone(problem);
    } finally {
      release();
    }
  }
}

/** The far end does not have this connection any more, or is no node. */
class Gone extends SkeinError {
  constructor(message: string) {
    super(message, { code: 'unavailable' });
  }
}

/** How often in a row it failed, and when it may be tried again. */
class Tries {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #failures = 0;

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** After a failure of a try that began then: true when the time for another has come, false when it is given up. */
  async again(startedMs: number): Promise<boolean> {
    if (this.#clock.monotonicMs() - startedMs >= HELD_MS) this.#failures = 0;
    const waitMs = RETRY_MS[this.#failures];
    this.#failures += 1;
    if (waitMs === undefined) return false;
    if (waitMs > 0) await delay(this.#clock, waitMs, this.#signal);
    return true;
  }
}

/** Nobody listens there any more, so the far end's process has gone, and the connection with it. */
function isLasting(error: unknown): boolean {
  return error instanceof Gone || (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED');
}

/**
 * A certificate proves nothing here and is not asked for: whoever answers must prove its key inside, in the session, and
 * sees nothing but ciphertext when it cannot. Nodes make their own certificates, so most could not be checked anyway.
 */
export function startRequest(method: 'GET' | 'POST', url: URL, options: RequestOptions): ClientRequest {
  if (url.protocol === 'https:') return https.request(url, { method, rejectUnauthorized: false, ...options });
  return http.request(url, { method, ...options });
}

/** Sends the body and resolves with the head of the answer. */
export function answerOf(request: ClientRequest, body?: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', reject);
    request.end(body);
  });
}
