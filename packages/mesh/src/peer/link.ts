import {
  type Established,
  FRAME_BYTES_SOFT,
  FRAME_HEADER_BYTES,
  formatKeyLine,
  HEADER_BYTES,
  type Identity,
  MESSAGE_AGE_MAX_MS,
  MESSAGE_AHEAD_MAX_MS,
  type MessageHeader,
  type OutgoingMessage,
  openLateRefusal,
  type Priority,
  parseFrame,
  RECORD_BYTES_MAX,
  REKEY_FRAMES,
  REKEY_MS,
  routeBetween,
  SkeinError,
  signFrame,
  writeMessage,
} from '@skein/protocol';
import type { Clock } from '../clock.ts';
import type { Connection } from '../transport/transport.ts';
import { SendQueue } from './send-queue.ts';

/** First byte of a record: more records under this key follow, or this is the last one. */
const RECORD = { data: Buffer.of(0x10), lastOfKey: Buffer.of(0x11) } as const;
/** A connection that takes nothing for this long is given up. */
const STALL_MS = 10_000;
const STALL_LOOK_MS = 1_000;
/**
 * Messages put in one frame: half of the calls this side waits for, so that while the peer works on one frame the other is
 * made. Measured between two processes with 64 calls in flight, frames of 32 carry a quarter more calls than frames of 64,
 * which leave the sides waiting for each other, and an eighth more than frames of 16, which pay for more signatures.
 */
const FRAME = { leastMessages: 16, mostMessages: 128, shareOfPending: 1 / 2 } as const;
/**
 * What is taken from one peer before the others get their turn, in messages; a frame's signature costs as much as
 * `perFrame` of them. A peer that is over its rate waits longer: what it sends meanwhile fills its own buffers.
 */
const TURN = { messages: 256, perFrame: 4, overLimitMs: 25 } as const;
/** Frames sealed in one go before the event loop gets its turn. */
const FRAMES_AT_ONCE = 16;

export interface LinkHandlers {
  /** Calls of this side that wait for their answer now. */
  pending(): number;
  /** One message of the peer, in order. `plaintext` holds its body from `bodyStart` to `bodyEnd`. */
  message(header: MessageHeader, plaintext: Buffer): void;
  /** Called exactly once, last. `refused` is the error where the peer did not want the session. */
  closed(reason: string, refused?: SkeinError): void;
}

export interface LinkParts {
  readonly connection: Connection;
  readonly established: Established;
  readonly identity: Identity;
  /** What this node calls itself. */
  readonly name: string;
  readonly clock: Clock;
}

/** An established session over one connection: signed and sealed messages out, the peer's messages in. */
export class Link {
  readonly #connection: Connection;
  readonly #established: Established;
  readonly #identity: Identity;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #outRoute: Buffer;
  readonly #inRoute: Buffer;
  readonly #queue = new SendQueue();
  /** Wall time less monotonic time when the session began: session time never jumps. */
  readonly #epochMs: number;
  #handlers: LinkHandlers | undefined;
  #clockOffsetMs: number;
  #outSequence = 0;
  #inSequence = 0;
  #framesOfKey = 0;
  #keySinceMs: number;
  #flushScheduled = false;
  #blocked = false;
  #releaseStall: () => void = () => {};
  #takenInTurn = 0;
  #isOverLimit = false;
  #releaseRest: () => void = () => {};
  #closed = false;
  /** Monotonic time at which the peer was last heard. */
  lastHeardMs: number;

  constructor(parts: LinkParts) {
    this.#connection = parts.connection;
    this.#established = parts.established;
    this.#identity = parts.identity;
    this.#name = parts.name;
    this.#clock = parts.clock;
    this.#outRoute = routeBetween(parts.identity, parts.established.peer, parts.established.sessionId);
    this.#inRoute = routeBetween(parts.established.peer, parts.identity, parts.established.sessionId);
    this.#clockOffsetMs = parts.established.clockOffsetMs;
    const nowMs = parts.clock.monotonicMs();
    this.#epochMs = parts.clock.now() - nowMs;
    this.#keySinceMs = nowMs;
    this.lastHeardMs = nowMs;
  }

  /** Begins to deliver. */
  open(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    this.#connection.admit(RECORD_BYTES_MAX);
    this.#connection.attach({
      record: (record) => this.#receive(record),
      drain: () => this.#drained(),
      closed: (reason) => this.#end(reason),
    });
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /** This node's session time, epoch ms. */
  nowMs(): number {
    return this.#epochMs + this.#clock.monotonicMs();
  }

  /** Takes the peer's clock, read when it was `peerTimeMs` there, `delayMs` ago. */
  setPeerTime(peerTimeMs: number, delayMs: number): void {
    this.#clockOffsetMs = peerTimeMs + delayMs - this.nowMs();
  }

  /**
   * The peer's clock showed `peerTimeMs` at some moment of the last `withinMs`. What is known of it stays if that may be so:
   * an answer that stood behind much else says little.
   */
  boundPeerTime(peerTimeMs: number, withinMs: number): void {
    const latestMs = this.nowMs() + this.#clockOffsetMs - peerTimeMs;
    if (latestMs < 0 || latestMs > withinMs) this.setPeerTime(peerTimeMs, withinMs / 2);
  }

  /**
   * Queues one message; it leaves at the end of this turn of the event loop.
   * @throws SkeinError `too-large` for the body, `busy` when the queue to this peer is full, `unavailable` when closed.
   */
  send(message: OutgoingMessage): void {
    if (this.#closed) throw new SkeinError('The session has ended', { code: 'unavailable' });
    this.#queue.push(message);
    if (this.#flushScheduled || this.#blocked) return;
    this.#flushScheduled = true;
    // Runs when every promise of this turn has settled, so answers that are ready together share a frame.
    process.nextTick(() => this.#flush());
  }

  /** Throws what `send` would throw for a message of this priority, before it is made. */
  assertRoom(priority: Priority): void {
    if (this.#closed) throw new SkeinError('The session has ended', { code: 'unavailable' });
    this.#queue.assertRoom(priority);
  }

  /** This peer asks for more than it may: it is listened to less. */
  slowDown(): void {
    this.#isOverLimit = true;
  }

  /** Sends what is queued, as far as the connection takes it now, and ends the session at once. */
  close(reason: string): void {
    if (this.#closed) return;
    if (!this.#blocked) this.#flush();
    this.#connection.close(reason);
    this.#end(reason);
  }

  /** Ends the session at once: nothing more is sent or believed, and the connection is cut. */
  abort(reason: string): void {
    this.#connection.cut(reason);
    this.#end(reason);
  }

  /** Grows while anything at all comes in, a part of a record too. */
  get arrived(): number {
    return this.#connection.arrived;
  }

  #flush(): void {
    this.#flushScheduled = false;
    for (let frames = 0; this.#queue.count > 0 && !this.#blocked && !this.#closed; frames += 1) {
      if (frames === FRAMES_AT_ONCE) {
        this.#flushScheduled = true;
        setImmediate(() => this.#flush());
        return;
      }
      this.#sendFrame(this.#queue.take(this.#frameMessages(), FRAME_BYTES_SOFT));
    }
  }

  #frameMessages(): number {
    const pending = this.#handlers?.pending() ?? 0;
    if (pending === 0) return FRAME.mostMessages;
    return Math.min(FRAME.mostMessages, Math.max(FRAME.leastMessages, Math.ceil(pending * FRAME.shareOfPending)));
  }

  #sendFrame(messages: readonly OutgoingMessage[]): void {
    let bytes = FRAME_HEADER_BYTES;
    for (const message of messages) bytes += HEADER_BYTES + message.bodyBytes;
    const plaintext = Buffer.allocUnsafe(bytes);
    const timeMs = Math.floor(this.nowMs());
    const firstSequence = this.#outSequence;
    const ends: number[] = [];
    let at = FRAME_HEADER_BYTES;
    for (const message of messages) {
      writeMessage(plaintext, at, this.#outRoute, message, { sequence: this.#outSequence, timeMs });
      this.#outSequence += 1;
      at += HEADER_BYTES + message.bodyBytes;
      ends.push(at);
    }
    signFrame(plaintext, ends, this.#outRoute, firstSequence, this.#identity);
    this.#framesOfKey += 1;
    const cipher = this.#established.send;
    const nowMs = this.#clock.monotonicMs();
    const last = this.#framesOfKey >= REKEY_FRAMES || nowMs - this.#keySinceMs >= REKEY_MS;
    const record = cipher.seal(last ? RECORD.lastOfKey : RECORD.data, plaintext);
    if (last) {
      cipher.rekey();
      this.#framesOfKey = 0;
      this.#keySinceMs = nowMs;
    }
    if (this.#connection.send(record) || this.#closed) return;
    this.#blocked = true;
    this.#watchStall();
  }

  /** A slow peer takes a little now and then; one that takes nothing is given up. */
  #watchStall(departed = this.#connection.departed, sinceMs = this.#clock.monotonicMs()): void {
    this.#releaseStall = this.#clock.after(STALL_LOOK_MS, () => {
      if (this.#connection.departed !== departed) this.#watchStall();
      else if (this.#clock.monotonicMs() - sinceMs < STALL_MS) this.#watchStall(departed, sinceMs);
      else this.abort(`the peer took nothing for ${STALL_MS / 1000} s`);
    });
  }

  #drained(): void {
    if (this.#closed) return;
    this.#releaseStall();
    this.#blocked = false;
    this.#flush();
  }

  #receive(record: Buffer): void {
    if (this.#closed) return;
    try {
      const refused = this.#refusal(record);
      if (refused !== undefined) {
        // Before the connection does, which would say only that it ended.
        this.#end(refused.message, refused);
        this.#connection.close('the session was refused');
        return;
      }
      const kind = record[0];
      if (kind !== RECORD.data[0] && kind !== RECORD.lastOfKey[0]) {
        throw new SkeinError(`There is no record of kind ${kind}`, { code: 'invalid' });
      }
      const cipher = this.#established.receive;
      const plaintext = cipher.open(record, 1);
      if (kind === RECORD.lastOfKey[0]) cipher.rekey();
      const frame = parseFrame(plaintext, this.#inRoute, this.#inSequence, this.#established.peer);
      this.#inSequence += frame.messages.length;
      this.lastHeardMs = this.#clock.monotonicMs();
      const peerNowMs = this.#epochMs + this.lastHeardMs + this.#clockOffsetMs;
      for (const header of frame.messages) {
        if (this.#closed) return; // By a message before it.
        if (peerNowMs - header.timeMs > MESSAGE_AGE_MAX_MS || header.timeMs - peerNowMs > MESSAGE_AHEAD_MAX_MS) {
          throw new SkeinError(`A message is ${Math.round(peerNowMs - header.timeMs)} ms old`, { code: 'denied' });
        }
        this.#handlers?.message(header, plaintext);
      }
      this.#takenInTurn += frame.messages.length + TURN.perFrame;
      if (this.#takenInTurn >= TURN.messages || this.#isOverLimit) this.#rest();
    } catch (error) {
      // Order and delivery are the pipe's to keep, so a frame that does not check out means somebody is in the way.
      this.abort(`a frame was refused: ${SkeinError.from(error).message}`);
    }
  }

  /** An initiator that does not want who welcomed it says so in the place of its first record. */
  #refusal(record: Buffer): SkeinError | undefined {
    const { initiator, receive } = this.#established;
    if (initiator || this.#inSequence > 0) return undefined;
    return openLateRefusal(record, receive, formatKeyLine(this.#identity, this.#name));
  }

  /** Takes nothing more from this peer until the others had their turn. */
  #rest(): void {
    this.#takenInTurn = 0;
    this.#connection.pause();
    const resume = () => {
      if (!this.#closed) this.#connection.resume();
    };
    if (!this.#isOverLimit) setImmediate(resume);
    else {
      this.#releaseRest();
      this.#releaseRest = this.#clock.after(TURN.overLimitMs, () => {
        this.#isOverLimit = false;
        resume();
      });
    }
  }

  #end(reason: string, refused?: SkeinError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#releaseRest();
    this.#releaseStall();
    this.#queue.clear();
    this.#handlers?.closed(reason, refused);
  }
}
