import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HANDSHAKE_BYTES_MAX, RECORD_BYTES_MAX, SkeinError } from '@skein/protocol';
import WebSocket, { WebSocketServer } from 'ws';
import type { Connection, ConnectionHandlers, Transport } from './transport.ts';

/** Bytes queued in the socket above which the sender waits. */
const HIGH_WATER_BYTES = 1024 * 1024;
const SUBPROTOCOL = 'skein.1';

const OPTIONS = { perMessageDeflate: false, maxPayload: RECORD_BYTES_MAX, skipUTF8Validation: true } as const;

export interface WebSocketTransportOptions {
  /** Certificates to trust beside the system's, PEM; for `wss:` with a private authority. */
  readonly ca?: string;
}

/** Dials `ws:` and `wss:` URLs. */
export function createWebSocketTransport(options: WebSocketTransportOptions = {}): Transport {
  return {
    schemes: ['ws', 'wss'],
    dial(url, { signal }) {
      return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const socket = new WebSocket(url, SUBPROTOCOL, {
          ...OPTIONS,
          ...(options.ca === undefined ? {} : { ca: options.ca }),
          // A mask keeps scripts in browsers from shaping what a proxy reads (RFC 6455, 10.3). Records are
          // ciphertext that nobody outside this process shapes, so the zero mask is safe and saves two passes.
          generateMask: (mask) => mask.fill(0),
        });
        const abort = () => {
          socket.terminate();
          reject(SkeinError.from(signal.reason));
        };
        signal.addEventListener('abort', abort, { once: true });
        socket.once('open', () => {
          signal.removeEventListener('abort', abort);
          resolve(new WebSocketConnection(socket, new URL(url).host));
        });
        socket.once('error', (error) => {
          signal.removeEventListener('abort', abort);
          reject(new SkeinError(`Nobody answers at ${url}: ${error.message}`, { code: 'unavailable', cause: error }));
        });
      });
    },
  };
}

/** Takes WebSocket upgrades off an HTTP server that somebody else owns. */
export class WebSocketAcceptor {
  readonly #server = new WebSocketServer({
    ...OPTIONS,
    noServer: true,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });

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

class WebSocketConnection implements Connection {
  readonly remoteAddress: string;
  readonly #socket: WebSocket;
  #handlers: ConnectionHandlers | undefined;
  #blocked = false;
  #reason: string | undefined;
  #maxRecordBytes = HANDSHAKE_BYTES_MAX;
  #releaseGuard: () => void = () => {};

  constructor(socket: WebSocket, remoteAddress: string, raw?: Socket) {
    this.#socket = socket;
    this.remoteAddress = remoteAddress;
    socket.binaryType = 'nodebuffer';
    socket.pause();
    if (raw !== undefined) this.#guard(raw);
    socket.on('message', (data, isBinary) => {
      if (!isBinary || !Buffer.isBuffer(data)) this.close('a text frame came where only records are spoken');
      else if (data.length > this.#maxRecordBytes) this.close(`a record of ${data.length} bytes is over the bound`);
      else this.#handlers?.record(data);
    });
    socket.on('error', (error) => {
      this.#reason ??= error.message;
    });
    socket.on('close', (code) => {
      this.#releaseGuard();
      this.#handlers?.closed(this.#reason ?? (code === 1006 ? 'the connection broke' : 'the other end closed'));
    });
  }

  attach(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#socket.readyState === WebSocket.CLOSED) handlers.closed(this.#reason ?? 'the connection broke');
    else this.#socket.resume();
  }

  send(record: Uint8Array): boolean {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return true; // `closed` is on its way.
    if (socket.bufferedAmount < HIGH_WATER_BYTES) {
      socket.send(record, BINARY);
      if (socket.bufferedAmount < HIGH_WATER_BYTES) return true;
    } else {
      socket.send(record, BINARY);
    }
    if (!this.#blocked) {
      this.#blocked = true;
      // An empty pong is written behind everything queued; its callback says that all of it left.
      socket.pong('', false, () => {
        this.#blocked = false;
        this.#handlers?.drain();
      });
    }
    return false;
  }

  admit(maxRecordBytes: number): void {
    this.#maxRecordBytes = maxRecordBytes;
    this.#releaseGuard();
  }

  close(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    if (this.#socket.bufferedAmount === 0) this.#socket.close(1000);
    // A far end that has stopped reading would hold a polite close for ws's 30 s.
    const cut = setTimeout(() => this.#socket.terminate(), 500);
    this.#socket.once('close', () => clearTimeout(cut));
  }

  /** Counts the raw bytes of a stranger, so that one huge unfinished record is cut off before it is buffered. */
  #guard(raw: Socket): void {
    const bound = raw.bytesRead + 2 * HANDSHAKE_BYTES_MAX;
    const check = () => {
      if (raw.bytesRead > bound) this.#socket.terminate();
    };
    raw.on('data', check);
    this.#releaseGuard = () => raw.off('data', check);
  }
}

const BINARY = { binary: true, compress: false } as const;
