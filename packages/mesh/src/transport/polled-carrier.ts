import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { HTTP_BODY_BYTES, HTTP_HEADERS, HTTP_POLL_MS, numberHeader } from './http-wire.ts';
import type { Carrier, StreamConnection } from './stream-connection.ts';

/** How long a dialler may leave without asking for more. */
const IDLE_MS = 15_000;
/** The same after the last request it had waiting broke off: one that is still there asks again at once, on a slow line a second later. */
const BROKEN_MS = 1_500;
/** Requests that are left without an answer; of more, the oldest is refused. A dialler has three under way. */
const HELD_MAX = 8;

/** A request that waits for bytes. */
interface Poll {
  readonly response: ServerResponse;
  readonly maxBytes: number;
  readonly release: () => void;
}

/** The listener's side of a connection over HTTP: takes what requests bring, and answers those that wait. */
export class PolledCarrier implements Carrier {
  readonly transport = 'http';
  readonly #connection: StreamConnection;
  readonly #clock: Clock;
  #poll: Poll | undefined;
  /** The request that waits only to break off when its sender goes. */
  #watch: ServerResponse | undefined;
  /** Such a request broke off, and no other has come. */
  #isWatchLost = false;
  /** Requests without an answer. */
  readonly #held = new Set<ServerResponse>();
  /** The answer that is on its way. */
  #answering: ServerResponse | undefined;
  /** Which request that brings bytes is the latest: one before it that is still there was given up by its sender. */
  #upload = 0;
  #isWoken = false;
  #isStopped = false;
  #releaseIdle: () => void = () => {};

  constructor(parts: { readonly connection: StreamConnection; readonly clock: Clock }) {
    this.#connection = parts.connection;
    this.#clock = parts.clock;
    this.#expect(IDLE_MS);
    this.#connection.ended.addEventListener('abort', () => {
      for (const response of this.#held) refuse(response, 410);
    });
  }

  wake(): void {
    if (this.#isWoken || this.#isStopped) return;
    this.#isWoken = true;
    // What is sent in this turn goes together.
    process.nextTick(() => {
      this.#isWoken = false;
      this.#answer(false);
    });
  }

  attached(): void {}

  cut(): void {
    this.#answering?.destroy();
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#upload += 1;
    this.#releaseIdle();
    const poll = this.#takePoll();
    if (poll !== undefined) this.#keep(poll.response);
  }

  /** A request that brings bytes. */
  async up(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#connection;
    const { incoming } = connection;
    if (this.#isStopped) {
      this.#keep(response);
      return;
    }
    const from = numberHeader(request, HTTP_HEADERS.offset);
    if (from === undefined || from > incoming.taken) {
      refuse(response, 409);
      return;
    }
    this.#upload += 1;
    const upload = this.#upload;
    let at = from;
    try {
      for await (const bytes of request) {
        // What an earlier request brought may still wait, and no request brings more until it is taken.
        await connection.room;
        if (upload !== this.#upload || connection.ended.aborted) break;
        // Those that came before, in a try whose answer was lost, are not taken twice.
        const known = Math.min(bytes.length, Math.max(0, incoming.taken - at));
        at += bytes.length;
        if (at - from > HTTP_BODY_BYTES.most) {
          refuse(response, 413);
          return;
        }
        if (known < bytes.length) await connection.take(bytes.subarray(known));
      }
    } catch {
      return; // Its sender went away in the middle, and comes again from where we are.
    }
    if (connection.ended.aborted || upload !== this.#upload) this.#keep(response);
    else answer(response, { [HTTP_HEADERS.offset]: incoming.taken });
    if (request.headers[HTTP_HEADERS.end] === '1' && upload === this.#upload) connection.finish('the other end closed');
  }

  /** A request that waits for bytes. */
  down(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isStopped) {
      this.#keep(response);
      return;
    }
    const { outgoing } = this.#connection;
    const from = numberHeader(request, HTTP_HEADERS.offset);
    const maxBytes = numberHeader(request, HTTP_HEADERS.maxBytes);
    // A place before that was acknowledged already: a request some proxy sent twice. The true one goes on.
    if (from === undefined || maxBytes === undefined || maxBytes === 0 || from < outgoing.start || from > outgoing.end) {
      refuse(response, 409);
      return;
    }
    this.#connection.acknowledge(from);
    this.#answer(true);
    this.#releaseIdle();
    const release = this.#clock.after(HTTP_POLL_MS, () => this.#answer(true));
    const poll = { response, maxBytes: Math.min(maxBytes, HTTP_BODY_BYTES.most), release };
    this.#poll = poll;
    response.on('close', () => {
      if (this.#poll === poll) this.#takePoll();
      if (!response.writableFinished) this.#broke();
    });
    this.#answer(false);
  }

  /** A request that waits for the next of its kind: that it breaks off shows that its sender has gone, whatever else is under way. */
  hold(response: ServerResponse): void {
    const before = this.#watch;
    this.#watch = response;
    this.#isWatchLost = false;
    if (before !== undefined) answer(before, { [HTTP_HEADERS.offset]: this.#connection.outgoing.start });
    this.#keep(response);
    if (this.#isStopped) return;
    if (this.#poll === undefined) this.#expect(IDLE_MS);
    response.on('close', () => {
      if (this.#watch !== response) return;
      this.#watch = undefined;
      this.#isWatchLost = true;
      this.#broke();
    });
  }

  /** A request that waited broke off. */
  #broke(): void {
    if (this.#poll === undefined && this.#watch === undefined && !this.#isStopped) this.#expect(BROKEN_MS);
  }

  /**
   * Leaves a request without an answer as long as the connection lasts: another carrier has it now, which its dialler
   * is about to hear from that one, or a later request has taken the place of this.
   */
  #keep(response: ServerResponse): void {
    if (this.#connection.ended.aborted) {
      refuse(response, 410);
      return;
    }
    this.#held.add(response);
    response.on('close', () => this.#held.delete(response));
    const [oldest] = this.#held;
    if (this.#held.size > HELD_MAX && oldest !== undefined) refuse(oldest, 409);
  }

  /** Answers the request that waits when there is something to say, and `anyway` with nothing. */
  #answer(anyway: boolean): void {
    const connection = this.#connection;
    const { outgoing } = connection;
    const hasSomething = outgoing.waiting > 0 || connection.isClosing;
    if (!hasSomething && !anyway) return;
    const poll = this.#takePoll();
    if (poll === undefined) return;
    const from = outgoing.start;
    const body = outgoing.slice(from, poll.maxBytes);
    const isLast = connection.isClosing && from + body.length === outgoing.end;
    this.#answering = poll.response;
    this.#expect(this.#isWatchLost ? BROKEN_MS : IDLE_MS);
    poll.response.on('finish', () => {
      if (this.#answering === poll.response) this.#answering = undefined;
      if (isLast) connection.finish('closed');
    });
    answer(poll.response, { [HTTP_HEADERS.offset]: from, ...(isLast ? { [HTTP_HEADERS.end]: '1' } : {}) }, body);
  }

  #takePoll(): Poll | undefined {
    const poll = this.#poll;
    this.#poll = undefined;
    poll?.release();
    return poll;
  }

  /** Ends the connection when nobody asks for more within this time. */
  #expect(withinMs: number): void {
    this.#releaseIdle();
    this.#releaseIdle = this.#clock.after(withinMs, () => this.#connection.finish('the connection broke'));
  }
}

/** Answers with bytes that nobody on the way may keep. */
export function answer(response: ServerResponse, headers: Readonly<Record<string, string | number>>, body?: Buffer): void {
  response.writeHead(200, {
    'cache-control': 'no-store',
    'content-type': 'application/octet-stream',
    'content-length': body?.length ?? 0,
    ...headers,
  });
  response.end(body);
}

/** Answers without taking what the request may still bring. */
export function refuse(response: ServerResponse, status: 400 | 403 | 405 | 409 | 410 | 413 | 503): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'cache-control': 'no-store', 'content-length': 0, connection: 'close' });
  response.end();
}
