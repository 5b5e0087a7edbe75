import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { SkeinError } from '@skein/protocol';
import WebSocket from 'ws';
import type { Carrier, StreamConnection } from './stream-connection.ts';
import type { OpenedWebSocket } from './websocket.ts';

/** Bytes of one message, and those queued in the socket above which no more are put there. */
const SLICE_BYTES = 64 * 1024;
/** Bytes of a place in a stream. */
const PLACE_BYTES = 8;

export interface SocketCarrierParts extends OpenedWebSocket {
  readonly connection: StreamConnection;
  readonly role: 'dialler' | 'listener';
}

/**
 * A WebSocket that carries on a connection which HTTP began. The dialler says how far it has the other's stream; the
 * listener then lets go of HTTP, and says how far it is and from where it sends. Requests still bring what they bring
 * until the dialler hears that, so nothing is lost at the seam, and what came twice is known by its place.
 */
export class SocketCarrier implements Carrier {
  readonly transport = 'websocket';
  readonly #connection: StreamConnection;
  readonly #socket: WebSocket;
  readonly #raw: Socket;
  readonly #role: 'dialler' | 'listener';
  /** Where in the outgoing stream the next byte for the socket stands; undefined before the far end said where it is. */
  #sendAt: number | undefined;
  /** Where in the incoming stream the next byte of the socket stands. */
  #receiveAt = 0;
  #isStopped = false;
  readonly #joined = Promise.withResolvers<void>();

  constructor({ connection, socket, raw, role }: SocketCarrierParts) {
    this.#role = role;
    this.#connection = connection;
    this.#socket = socket;
    this.#raw = raw;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data) => {
      if (Buffer.isBuffer(data)) void this.#receive(data);
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', (code) => this.#lost(code === 1006 ? 'the connection broke' : 'the other end closed'));
    // Only the dialler waits for it.
    this.#joined.promise.catch(() => {});
    if (role === 'dialler') this.#say(connection.incoming.taken);
    socket.resume();
  }

  /** Resolves when both sides have said where they are. @throws SkeinError `unavailable` when it does not come to that. */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  wake(): void {
    const at = this.#sendAt;
    const { outgoing, isClosing } = this.#connection;
    if (at === undefined || this.#socket.readyState !== WebSocket.OPEN) return;
    for (let from = at; from < outgoing.end && this.#socket.bufferedAmount < SLICE_BYTES; ) {
      const piece = outgoing.slice(from, SLICE_BYTES);
      from += piece.length;
      this.#sendAt = from;
      this.#socket.send(piece, { binary: true, compress: false }, (error) => this.#left(from, error));
    }
    if (isClosing && this.#sendAt === outgoing.end) this.#socket.close(1000);
  }

  attached(): void {}

  cut(): void {
    // A reset passes what waits for acknowledgements that may never come. TLS has none.
    if (this.#raw instanceof TLSSocket) this.#socket.terminate();
    else this.#raw.resetAndDestroy();
  }

  stop(): void {
    this.#isStopped = true;
    this.#socket.terminate();
  }

  #say(...places: readonly number[]): void {
    const bytes = Buffer.alloc(PLACE_BYTES * places.length);
    for (const [index, place] of places.entries()) bytes.writeBigUInt64BE(BigInt(place), index * PLACE_BYTES);
    this.#socket.send(bytes, { binary: true, compress: false });
  }

  async #receive(bytes: Buffer): Promise<void> {
    if (this.#isStopped) return;
    if (this.#sendAt === undefined) {
      this.#begin(bytes);
      return;
    }
    // What HTTP still brought meanwhile comes again.
    const known = Math.min(bytes.length, this.#connection.incoming.taken - this.#receiveAt);
    this.#receiveAt += bytes.length;
    const wait = known < bytes.length ? this.#connection.take(bytes.subarray(known)) : undefined;
    if (wait === undefined) return;
    this.#socket.pause();
    await wait;
    this.#socket.resume();
  }

  #begin(said: Buffer): void {
    const { incoming, outgoing } = this.#connection;
    try {
      const place = Number(said.readBigUInt64BE());
      // It may have said so before it acknowledged more over HTTP.
      const sendAt = Math.max(place, outgoing.start);
      this.#connection.acknowledge(sendAt);
      this.#receiveAt = this.#role === 'dialler' ? Number(said.readBigUInt64BE(PLACE_BYTES)) : incoming.taken;
      if (this.#receiveAt > incoming.taken) throw new SkeinError('it left something out', { code: 'invalid' });
      if (this.#role === 'listener') {
        this.#connection.carryBy(this);
        this.#say(incoming.taken, sendAt);
      }
      this.#sendAt = sendAt;
      this.#joined.resolve();
      if (this.#role === 'listener') this.wake();
    } catch {
      this.#socket.terminate();
    }
  }

  #left(upTo: number, error?: Error | null): void {
    if (error || this.#isStopped) return;
    this.#connection.acknowledge(upTo);
    this.wake();
  }

  #lost(reason: string): void {
    this.#joined.reject(new SkeinError(reason, { code: 'unavailable' }));
    if (!this.#isStopped && this.#sendAt !== undefined) this.#connection.finish(reason);
  }
}
