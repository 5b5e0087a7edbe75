import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { abortReason, HANDSHAKE_BYTES_MAX, RECORD_BYTES_MAX, SkeinError } from '@skein/protocol';
import WebSocket, { WebSocketServer } from 'ws';
import type { Connection, ConnectionHandlers, Transport } from './transport.ts';

/** Bytes queued in the socket above which the sender waits, and below which it goes on. */
const HIGH_WATER_BYTES = 128 * 1024;
const LOW_WATER_BYTES = 64 * 1024;
/** A longer record is handed to the socket in slices, so that it can be seen to move on a slow line. */
const SLICE_BYTES = 64 * 1024;
const SUBPROTOCOL = 'skein.1';

const OPTIONS = { perMessageDeflate: false, maxPayload: RECORD_BYTES_MAX, skipUTF8Validation: true } as const;

/** Dials `ws:` and `wss:` URLs. */
export function createWebSocketTransport(): Transport {
  return {
    schemes: ['ws', 'wss'],
    async dial(url, { signal }) {
      const { socket, raw } = await openWebSocket(url, { signal });
      return new WebSocketConnection(socket, new URL(url).host, raw);
    },
  };
}

/** An open WebSocket, still paused, and the socket under it. */
export interface OpenedWebSocket {
  readonly socket: WebSocket;
  readonly raw: Socket;
}

/** @throws SkeinError `unavailable` with what the socket said as its cause, `canceled` or `deadline-exceeded`. */
export function openWebSocket(
  url: string,
  { signal, headers = {} }: { readonly signal: AbortSignal; readonly headers?: Readonly<Record<string, string>> },
): Promise<OpenedWebSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) throw abortReason(signal);
    const socket = new WebSocket(url, SUBPROTOCOL, {
      ...OPTIONS,
      headers,
      // A certificate proves nothing here and is not asked for: whoever answers must prove its key inside, in the
      // session, and sees nothing but ciphertext when it cannot. Nodes make their own, so most could not be checked.
      rejectUnauthorized: false,
      // A mask keeps scripts in browsers from shaping what a proxy reads (RFC 6455, 10.3). Records are
      // ciphertext that nobody outside this process shapes, so the zero mask is safe and saves two passes.
      generateMask: (mask) => mask.fill(0),
    });
    const abort = () => {
      socket.terminate();
      reject(abortReason(signal));
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('upgrade', ({ socket: raw }) => {
      socket.once('open', () => {
        signal.removeEventListener('abort', abort);
        socket.pause();
        resolve({ socket, raw });
      });
    });
    socket.once('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(new SkeinError(`Nobody answers at ${url}: ${error.message}`, { code: 'unavailable', cause: error }));
    });
  });
}

/** Takes WebSocket upgrades off an HTTP server that somebody else owns. */
export class WebSocketAcceptor {
  readonly #server = createUpgrades();

  /** Answers one upgrade request and hands over the connection. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, accept: (connection: Connection) => void): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      accept(new WebSocketConnection(webSocket, request.socket.remoteAddress ?? 'unknown', request.socket));
    });
  }

  close(): void {
    this.#server.close();
  }
}

/** What answers upgrades, and owns neither server nor sockets. */
export function createUpgrades(): WebSocketServer {
  return new WebSocketServer({
    ...OPTIONS,
    noServer: true,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
}

/** Whether an upgrade request is for this protocol and not for some other. */
export function offersSkein(request: IncomingMessage): boolean {
  const offered = request.headers['sec-websocket-protocol']?.split(',') ?? [];
  return offered.some((protocol) => protocol.trim() === SUBPROTOCOL);
}

class WebSocketConnection implements Connection {
  readonly transport = 'websocket';
  readonly remoteAddress: string;
  departed = 0;
  readonly #socket: WebSocket;
  readonly #raw: Socket;
  #handlers: ConnectionHandlers | undefined;
  #blocked = false;
  /** Records the socket has not got, or not all of; the first from `#sliceAt` on. Bounded by who heeds `send`. */
  #waiting: Uint8Array[] = [];
  #sliceAt = 0;
  #reason: string | undefined;
  #maxRecordBytes = HANDSHAKE_BYTES_MAX;
  #releaseGuard: () => void = () => {};

  constructor(socket: WebSocket, remoteAddress: string, raw: Socket) {
    this.#socket = socket;
    this.#raw = raw;
    this.remoteAddress = remoteAddress;
    socket.binaryType = 'nodebuffer';
    socket.pause();
    this.#guard();
    socket.on('message', (data, isBinary) => {
      if (this.#reason !== undefined) return;
      if (!isBinary || !Buffer.isBuffer(data)) this.close('a text frame came where only records are spoken');
      else if (data.length > this.#maxRecordBytes) this.close(`a record of ${data.length} bytes is over the bound`);
      else this.#handlers?.record(data);
    });
    socket.on('error', (error) => {
      this.#reason ??= error.message;
      // Of one that breaks the protocol ws would wait 30 s for a farewell.
      socket.terminate();
    });
    socket.on('close', (code) => {
      this.#releaseGuard();
      this.#waiting = [];
      this.#handlers?.closed(this.#reason ?? (code === 1006 ? 'the connection broke' : 'the other end closed'));
    });
  }

  get arrived(): number {
    return this.#raw.bytesRead;
  }

  attach(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#socket.readyState === WebSocket.CLOSED) handlers.closed(this.#reason ?? 'the connection broke');
    else this.#socket.resume();
  }

  send(record: Uint8Array): boolean {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN || this.#reason !== undefined) return true; // `closed` is on its way.
    if (record.length <= SLICE_BYTES && this.#waiting.length === 0) socket.send(record, WHOLE, this.#left);
    else {
      this.#waiting.push(record);
      this.#sendSlices();
    }
    this.#blocked ||= this.#waiting.length > 0 || socket.bufferedAmount >= HIGH_WATER_BYTES;
    return !this.#blocked;
  }

  admit(maxRecordBytes: number): void {
    this.#maxRecordBytes = maxRecordBytes;
    this.#releaseGuard();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    if (this.#socket.bufferedAmount === 0) this.#socket.close(1000);
    // A far end that has stopped reading would hold a polite close for ws's 30 s.
    const cut = setTimeout(() => this.#socket.terminate(), 500);
    this.#socket.once('close', () => clearTimeout(cut));
  }

  cut(reason: string): void {
    this.#reason ??= reason;
    // A reset passes what waits for acknowledgements that may never come. TLS has none.
    if (this.#raw instanceof TLSSocket) this.#socket.terminate();
    else this.#raw.resetAndDestroy();
  }

  /** Called when a record or slice has left; always in a later turn. One function for all, so that Node batches it. */
  readonly #left = (error?: Error | null): void => {
    if (error) return;
    this.departed += 1;
    if (this.#waiting.length > 0) this.#sendSlices();
    if (!this.#blocked || this.#waiting.length > 0 || this.#socket.bufferedAmount >= LOW_WATER_BYTES) return;
    this.#blocked = false;
    this.#handlers?.drain();
  };

  #sendSlices(): void {
    for (let record = this.#waiting[0]; record !== undefined; record = this.#waiting[0]) {
      if (this.#socket.readyState !== WebSocket.OPEN || this.#socket.bufferedAmount >= LOW_WATER_BYTES) return;
      const end = this.#sliceAt + SLICE_BYTES;
      const isLast = end >= record.length;
      this.#socket.send(record.subarray(this.#sliceAt, end), isLast ? WHOLE : PIECE, this.#left);
      this.#sliceAt = isLast ? 0 : end;
      if (isLast) this.#waiting.shift();
    }
  }

  /** Counts the raw bytes of a stranger, so that one huge unfinished record is cut off before it is buffered. */
  #guard(): void {
    const raw = this.#raw;
    const bound = raw.bytesRead + 2 * HANDSHAKE_BYTES_MAX;
    const check = () => {
      if (raw.bytesRead <= bound) return;
      this.#reason ??= 'more came than a handshake has';
      this.#socket.terminate();
    };
    raw.on('data', check);
    this.#releaseGuard = () => raw.off('data', check);
  }
}

const WHOLE = { binary: true, compress: false, fin: true } as const;
const PIECE = { binary: true, compress: false, fin: false } as const;
