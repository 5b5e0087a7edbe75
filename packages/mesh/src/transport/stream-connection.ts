import { HANDSHAKE_BYTES_MAX, SkeinError } from '@skein/protocol';
import type { Clock } from '../clock.ts';
import { IncomingRecords, OutgoingRecords } from './record-stream.ts';
import type { Connection, ConnectionHandlers } from './transport.ts';

/** Bytes the far end may not have, above which the sender waits, and below which it goes on. */
const HIGH_WATER_BYTES = 512 * 1024;
const LOW_WATER_BYTES = 256 * 1024;
/** How long what was sent before a close may take to leave. */
const CLOSE_MS = 500;

/** What moves the bytes of a `StreamConnection`, as long as it is the one that does. */
export interface Carrier {
  readonly transport: 'http' | 'websocket';
  /** There is something new to send, or the end is wanted. */
  wake(): void;
  /** Somebody takes what comes in from now on. */
  attached(): void;
  /** Tells the far end at once that this is over, if that can be done without waiting. `stop` follows. */
  cut(): void;
  /** Carries nothing more, and lets go of what it holds. */
  stop(): void;
}

/**
 * A connection whose records are two streams of bytes with a place for each byte, so that they can be carried in pieces,
 * asked for again after a loss, and handed from one carrier to another.
 */
export class StreamConnection implements Connection {
  readonly remoteAddress: string;
  readonly outgoing = new OutgoingRecords();
  readonly incoming = new IncomingRecords();
  arrived = 0;
  departed = 0;
  /** Fires when the connection has ended. */
  readonly ended: AbortSignal;
  readonly #clock: Clock;
  readonly #end = new AbortController();
  #carrier: Carrier | undefined;
  #handlers: ConnectionHandlers | undefined;
  #blocked = false;
  #paused = false;
  #delivering = false;
  #reason: string | undefined;
  #maxRecordBytes: number | undefined;
  /** Resolved when what was taken in is delivered. */
  #taken: PromiseWithResolvers<void> | undefined;
  #releaseClose: () => void = () => {};

  constructor(parts: { readonly remoteAddress: string; readonly clock: Clock }) {
    this.remoteAddress = parts.remoteAddress;
    this.#clock = parts.clock;
    this.ended = this.#end.signal;
  }

  get transport(): Carrier['transport'] {
    return this.#carrier?.transport ?? 'http';
  }

  /** Whether what is there still has to be sent, and then nothing more. */
  get isClosing(): boolean {
    return this.#reason !== undefined;
  }

  /** Whether it has let in more than strangers may send. */
  get isAdmitted(): boolean {
    return this.#maxRecordBytes !== undefined;
  }

  /** Moves the bytes by this carrier from now on, and by the one before no more. */
  carryBy(carrier: Carrier): void {
    this.#carrier?.stop();
    this.#carrier = carrier;
    if (this.#handlers !== undefined) carrier.attached();
    carrier.wake();
  }

  attach(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.ended.aborted) {
      handlers.closed(this.#reason ?? 'the connection broke');
      return;
    }
    this.#carrier?.attached();
    this.#deliver();
  }

  send(record: Uint8Array): boolean {
    if (this.#reason !== undefined) return true; // `closed` is on its way.
    this.outgoing.push(record);
    this.#carrier?.wake();
    this.#blocked ||= this.outgoing.waiting >= HIGH_WATER_BYTES;
    return !this.#blocked;
  }

  admit(maxRecordBytes: number): void {
    this.#maxRecordBytes = maxRecordBytes;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
  }

  close(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.incoming.clear();
    this.#taken?.resolve();
    this.#releaseClose = this.#clock.after(CLOSE_MS, () => this.cut(reason));
    this.#carrier?.wake();
  }

  cut(reason: string): void {
    if (this.ended.aborted) return;
    this.#carrier?.cut();
    this.finish(reason);
  }

  /** Called by the carrier: the far end has ended it, it broke, or everything that was to be sent before the end has left. */
  finish(reason: string): void {
    if (this.ended.aborted) return;
    this.#reason ??= reason;
    this.#end.abort();
    this.#releaseClose();
    this.outgoing.clear();
    this.incoming.clear();
    this.#taken?.resolve();
    this.#carrier?.stop();
    this.#handlers?.closed(this.#reason);
  }

  /** Called by the carrier: the far end has everything before this place. @throws SkeinError `invalid`. */
  acknowledge(offset: number): void {
    if (offset === this.outgoing.start) return;
    this.outgoing.release(offset);
    this.departed += 1;
    if (this.#reason !== undefined || !this.#blocked || this.outgoing.waiting >= LOW_WATER_BYTES) return;
    this.#blocked = false;
    this.#handlers?.drain();
  }

  /**
   * Called by the carrier with the next bytes of the far end. It may bring more when nothing is returned, else when the
   * promise resolves.
   */
  take(bytes: Buffer): Promise<void> | undefined {
    this.arrived += bytes.length;
    if (this.#reason !== undefined) {
      this.incoming.skip(bytes.length);
      return undefined;
    }
    this.incoming.push(bytes);
    this.#deliver();
    if (!this.isAdmitted && this.incoming.taken > 2 * HANDSHAKE_BYTES_MAX) this.cut('more came than a handshake has');
    if (this.#isTaking) return undefined;
    this.#taken ??= Promise.withResolvers();
    return this.#taken.promise;
  }

  /** Resolves when there is room for more; undefined when there is. */
  get room(): Promise<void> | undefined {
    return this.#taken?.promise;
  }

  /** Whether records are delivered as they come. */
  get #isTaking(): boolean {
    return this.#reason !== undefined || (this.#handlers !== undefined && !this.#paused);
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (this.#isTaking) {
      const record = this.#next();
      if (record === undefined) break;
      this.#handlers?.record(record);
    }
    this.#delivering = false;
    if (!this.#isTaking) return;
    this.#taken?.resolve();
    this.#taken = undefined;
  }

  /** The next whole record. One that is over the bound ends the connection. */
  #next(): Buffer | undefined {
    try {
      return this.incoming.next(this.#maxRecordBytes ?? HANDSHAKE_BYTES_MAX);
    } catch (error) {
      this.cut(SkeinError.from(error).message);
      return undefined;
    }
  }
}
