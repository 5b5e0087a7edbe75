import type { Clock } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import WebSocket from 'ws';
import { SendBudget } from './send-budget.ts';

/** Bytes that may wait in the socket; beyond, nothing more is asked of the other side. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024;
/** Answers may still wait there up to this, and above it those that are short, signatures and seal counted: why another was not sent. */
const ANSWER_BYTES_MAX = 2 * BUFFERED_BYTES_MAX;
const SHORT_CHARS_MAX = 16_384;
const SHORT_BYTES_MAX = ANSWER_BYTES_MAX + 2 * 1024 * 1024;
/** With so much of what it was sent not taken yet, nothing more is read of the other side. */
const HELD_BYTES = 1024 * 1024;
const FREED_BYTES = HELD_BYTES / 4;
/** Answers that may wait for the other side's rate, and how many of them keep it from being read. */
const WAITING_MAX = 256;
const HELD_WAITING = WAITING_MAX / 2;
/** Between two signs of life, and how long none may come. */
const PING_MS = 5_000;
const SILENCE_MS = 15_000;
/** Pings whose answer would prove the socket. */
const CHALLENGES_MAX = 4;
/** What may come before it is known whose the socket is. */
const UNPROVEN_BYTES_MAX = 4 * 1024 * 1024;
const UNPROVEN_MESSAGES_MAX = 128;

export interface VoleSocketParts {
  readonly socket: WebSocket;
  readonly direction: 'dialled' | 'accepted';
  readonly address: string;
  readonly clock: Clock;
  readonly onMessage: (bytes: Buffer) => void;
  readonly onClosed: (reason: string) => void;
}

/** One WebSocket to somebody who speaks VoleNet, with what is known of whose it is. */
export class VoleSocket {
  readonly direction: 'dialled' | 'accepted';
  readonly address: string;
  /** Whose messages it carries: the one dialled, or the sender of the first verified message. */
  owner: PeerId | undefined;
  readonly #parts: VoleSocketParts;
  readonly #challenges = new Map<string, number>();
  readonly #waiting: string[] = [];
  readonly #budget: SendBudget;
  #isLimited: boolean;
  #isProven = false;
  #heardAtMs: number;
  #messages = 0;
  #bytes = 0;
  #reason: string | undefined;
  /** It is not read until it has taken more of what it was sent. */
  #isHeld = false;
  #releasePing: () => void = () => {};
  #releaseDrain: () => void = () => {};

  constructor(parts: VoleSocketParts) {
    const { socket, clock } = parts;
    this.#parts = parts;
    this.direction = parts.direction;
    this.address = parts.address;
    this.#isLimited = parts.direction === 'dialled';
    this.#budget = new SendBudget(clock.monotonicMs());
    this.#heardAtMs = clock.monotonicMs();
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('pong', () => this.#heard());
    socket.on('ping', () => this.#heard());
    socket.on('error', (error) => this.cut(error.message));
    socket.once('close', (code, reason) => {
      this.#releasePing();
      this.#releaseDrain();
      parts.onClosed(
        this.#reason ?? `the other end closed (${code}${reason.length === 0 ? '' : ` ${reason.toString().slice(0, 100)}`})`,
      );
    });
    this.#keepAlive();
  }

  get isOpen(): boolean {
    return this.#parts.socket.readyState === WebSocket.OPEN && this.#reason === undefined;
  }

  /** Its owner answered a ping on it. */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** Whether the far end cuts off what comes faster than 1,200 messages a minute. */
  get isLimited(): boolean {
    return this.#isLimited;
  }

  /** The far end is known to take as many messages as we do. */
  lift(): void {
    this.#isLimited = false;
    this.#drain();
  }

  /** A ping with this id was sent on it; the answer to it proves the socket. */
  challenged(pingId: string): void {
    const [oldest] = this.#challenges.keys();
    if (this.#challenges.size >= CHALLENGES_MAX && oldest !== undefined) this.#challenges.delete(oldest);
    this.#challenges.set(pingId, this.#parts.clock.monotonicMs());
  }

  /**
   * The owner's pong came on it: the round trip in milliseconds, or undefined when it answers nothing that was asked
   * here. `echo` names the ping where the owner says so; else the oldest is meant.
   */
  answered(echo: string | undefined): number | undefined {
    const id = echo ?? this.#challenges.keys().next().value;
    const sentAtMs = id === undefined ? undefined : this.#challenges.get(id);
    if (id === undefined || sentAtMs === undefined) return undefined;
    this.#challenges.delete(id);
    this.#isProven = true;
    return this.#parts.clock.monotonicMs() - sentAtMs;
  }

  /**
   * Sends one message. An answer, which may wait, is kept for a moment when the far end's rate is used up. Whoever does not
   * take its answers is not read meanwhile, so that what it asks waits with it; one that asks on and never takes any is cut.
   * @throws SkeinError `unavailable` when it is closed, `busy` at a bound.
   */
  send(text: string, options: { readonly mayWait: boolean }): void {
    const { socket, clock } = this.#parts;
    if (!this.isOpen) throw new SkeinError('The connection is closed', { code: 'unavailable' });
    if (socket.bufferedAmount > roomFor(text, options)) {
      if (options.mayWait && text.length <= SHORT_CHARS_MAX) this.cut('it does not take its answers');
      throw new SkeinError('The peer takes its messages too slowly', { code: 'busy', retryAfterMs: 1_000 });
    }
    const waitMs = this.#isLimited ? (this.#waiting.length > 0 ? 1_000 : this.#budget.take(clock.monotonicMs())) : 0;
    if (waitMs === 0) {
      this.#write(text);
      return;
    }
    if (!options.mayWait || this.#waiting.length >= WAITING_MAX) {
      throw new SkeinError('This peer takes 1,200 messages a minute and has had them', { code: 'busy', retryAfterMs: waitMs });
    }
    this.#waiting.push(text);
    this.#hold();
    if (this.#waiting.length === 1) this.#releaseDrain = clock.after(waitMs, () => this.#drain());
  }

  /** Ends it with a word of farewell, and without one if that takes too long. */
  close(reason: string, code = 1000): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const { socket, clock } = this.#parts;
    socket.close(code, reason.slice(0, 100));
    const release = clock.after(500, () => socket.terminate());
    socket.once('close', release);
  }

  /** Ends it at once. */
  cut(reason: string): void {
    this.#reason ??= reason;
    this.#parts.socket.terminate();
  }

  #write(text: string): void {
    this.#parts.socket.send(text, () => this.#taken());
    this.#hold();
  }

  #hold(): void {
    const { socket } = this.#parts;
    if (this.#isHeld || (socket.bufferedAmount <= HELD_BYTES && this.#waiting.length <= HELD_WAITING)) return;
    this.#isHeld = true;
    socket.pause();
  }

  /** The far end took something: of one that is not read there is no other sign of life. */
  #taken(): void {
    const { socket } = this.#parts;
    if (!this.#isHeld) return;
    this.#heard();
    if (socket.bufferedAmount > FREED_BYTES || this.#waiting.length > HELD_WAITING / 2) return;
    this.#isHeld = false;
    socket.resume();
  }

  #receive(data: WebSocket.RawData, isBinary: boolean): void {
    if (this.#reason !== undefined) return;
    if (isBinary || !Buffer.isBuffer(data)) {
      this.close('a binary frame came where only text is spoken', 1003);
      return;
    }
    this.#heard();
    if (!this.#isProven) {
      this.#messages += 1;
      this.#bytes += data.length;
      if (this.#messages > UNPROVEN_MESSAGES_MAX || this.#bytes > UNPROVEN_BYTES_MAX) {
        this.close('too much came before it was known whose this is', 1008);
        return;
      }
    }
    this.#parts.onMessage(data);
  }

  #heard(): void {
    this.#heardAtMs = this.#parts.clock.monotonicMs();
  }

  #keepAlive(): void {
    const { socket, clock } = this.#parts;
    this.#releasePing = clock.after(PING_MS, () => {
      if (clock.monotonicMs() - this.#heardAtMs >= SILENCE_MS) {
        this.cut(`${this.#isHeld ? 'nothing was taken' : 'nothing came'} for ${SILENCE_MS / 1_000} s`);
        return;
      }
      if (socket.readyState === WebSocket.OPEN) socket.ping();
      this.#keepAlive();
    });
  }

  #drain(): void {
    this.#releaseDrain();
    const { clock } = this.#parts;
    for (let text = this.#waiting[0]; text !== undefined && this.isOpen; text = this.#waiting[0]) {
      const waitMs = this.#isLimited ? this.#budget.take(clock.monotonicMs()) : 0;
      if (waitMs > 0) {
        this.#releaseDrain = clock.after(waitMs, () => this.#drain());
        return;
      }
      this.#waiting.shift();
      this.#write(text);
    }
  }
}

/** How much may wait before it. */
function roomFor(text: string, { mayWait }: { readonly mayWait: boolean }): number {
  if (!mayWait) return BUFFERED_BYTES_MAX;
  return text.length > SHORT_CHARS_MAX ? ANSWER_BYTES_MAX : SHORT_BYTES_MAX;
}
