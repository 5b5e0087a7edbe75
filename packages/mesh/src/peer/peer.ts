import {
  type Established,
  type Identity,
  MESSAGE_TYPE,
  type MessageHeader,
  type MessageType,
  type Method,
  type PeerId,
  type PublicIdentity,
  SkeinError,
} from '@skein/protocol';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Router } from '../router.ts';
import type { Connection } from '../transport/transport.ts';
import { IncomingCalls, type IncomingLimits } from './incoming-calls.ts';
import { Link } from './link.ts';
import { type CallOptions, OutgoingCalls } from './outgoing-calls.ts';
import type { PeerUsages } from './peer-usage.ts';

/** Silence after which the dialer asks; the acceptor waits a little longer, so one of the two asks. */
const PING_AFTER_MS = { dialer: 12_000, acceptor: 13_500 } as const;
/** Silence after which the peer is taken for dead; what is left of 15 s is for the timer to be late. */
const DEAD_AFTER_MS = 14_400;
/** The same while parts of a long record come in: it may take this long on a slow line. */
const RECORD_MS_MAX = 60_000;
const LOOK_AGAIN_MS = 3_000;
/**
 * A side that has not measured the clock of the other for so long asks, though there was no silence: two that run apart by a
 * tenth would refuse each other's messages after 50 s.
 */
const MEASURE_AFTER_MS = 20_000;
/** Characters of the reason a goodbye gives. */
const REASON_CHARS_MAX = 500;
/** The longest round trip a ping tells. */
const ROUND_TRIP_MS_MAX = 15_000;
/** Bytes of the body of a credit, ping or goodbye. */
const CONTROL_BYTES_MAX = 4_096;

const smallNumber = z.number().int().nonnegative();
const goodbye = z.object({ message: z.string().max(REASON_CHARS_MAX) });
const roundTrip = z.number().nonnegative().max(ROUND_TRIP_MS_MAX).nullable();

export interface PeerParts {
  readonly connection: Connection;
  readonly established: Established;
  readonly identity: Identity;
  /** What this node calls itself. */
  readonly name: string;
  /** What a key is called here; undefined where only the peer itself says. */
  readonly nameOf: (id: PeerId) => string | undefined;
  readonly clock: Clock;
  readonly router: Router;
  readonly limits: IncomingLimits;
  /** What this peer and the others use, in all their sessions. */
  readonly usages: PeerUsages;
  readonly onInternalError: (error: SkeinError, method: string) => void;
  /** One who dialled this node has taken up the session: told once, before its first message is. Never of one dialled. */
  readonly onTakenUp: (peer: Peer) => void;
  /** `refused` is the error where one who dialled this node did not want the session. */
  readonly onClosed: (peer: Peer, reason: string, refused?: SkeinError) => void;
}

/** A remote node whose key is proven, for as long as one session with it lasts. */
export class Peer {
  readonly id: PeerId;
  readonly identity: PublicIdentity;
  /** Which run of its process this is. */
  readonly boot: string;
  readonly initiator: boolean;
  readonly address: string;
  readonly #parts: PeerParts;
  readonly #link: Link;
  readonly #outgoing: OutgoingCalls;
  readonly #incoming: IncomingCalls;
  #name: string;
  #releaseWatch: () => void = () => {};
  #pings = 0;
  #pingSentAtMs: number | undefined;
  #latencyMs: number | undefined;
  /** As the peer measured it with its pings. */
  #toldLatencyMs: number | undefined;
  /** When the peer's clock was last measured or asked for. */
  #measuredAtMs: number;
  #arrivedBefore = 0;
  #isTakenUp: boolean;

  constructor(parts: PeerParts) {
    const { established, clock } = parts;
    this.#parts = parts;
    this.id = established.peer.id;
    this.identity = established.peer;
    this.#name = established.hello.name;
    this.boot = established.hello.boot;
    this.initiator = established.initiator;
    this.#isTakenUp = established.initiator;
    this.address = parts.connection.remoteAddress;
    this.#measuredAtMs = clock.monotonicMs();
    this.#link = new Link(parts);
    this.#outgoing = new OutgoingCalls({ link: this.#link, clock, peerName: () => this.name });
    this.#incoming = new IncomingCalls({
      link: this.#link,
      clock,
      router: parts.router,
      peer: this,
      limits: parts.limits,
      usages: parts.usages,
      onInternalError: parts.onInternalError,
    });
  }

  /** Begins to deliver what the peer sends. */
  open(): void {
    this.#link.open({
      pending: () => this.#outgoing.size,
      message: (header, plaintext) => this.#receive(header, plaintext),
      closed: (reason, refused) => this.#closed(reason, refused),
    });
    if (!this.#link.isOpen) return;
    if (this.initiator) this.#ping({ inSilence: true });
    this.#watch();
  }

  /** A label: what it is called here; what it calls itself only where it is not called anything. Once called, it stays so. */
  get name(): string {
    this.#name = this.#parts.nameOf(this.id) ?? this.#name;
    return this.#name;
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  /** What carries the session now. It may change. */
  get transport(): Connection['transport'] {
    return this.#parts.connection.transport;
  }

  /**
   * Round trip in ms: of the last ping here, else as the peer tells it of its own, else of the handshake; undefined before
   * the first of these.
   */
  get latencyMs(): number | undefined {
    return this.#latencyMs ?? this.#toldLatencyMs ?? this.#parts.established.roundTripMs;
  }

  /** Milliseconds since anything was heard of it. */
  get silentMs(): number {
    return this.#parts.clock.monotonicMs() - this.#link.lastHeardMs;
  }

  /** Calls under way in both directions. */
  get load(): number {
    return this.#outgoing.size + this.#incoming.size;
  }

  /**
   * Runs a method over there.
   * @throws SkeinError whatever the peer answers, `deadline-exceeded`, `canceled` by the signal, `unavailable` when the
   * peer leaves, `busy` when too much waits for it, `invalid` when its answer does not fit the method.
   */
  call<P, R, T>(method: Method<P, R, T>, params: P, options?: CallOptions<T>): Promise<R> {
    return this.#outgoing.call(method, params, options);
  }

  /** Tells the peer something and expects no answer. @throws SkeinError `unavailable`, `busy` or `too-large`. */
  publish<P, R, T>(method: Method<P, R, T>, params: P): void {
    this.#send(MESSAGE_TYPE.publish, 0, JSON.stringify({ method: method.name, params }), 'interactive');
  }

  /** Says goodbye and ends the session. */
  close(reason: string): void {
    if (!this.#link.isOpen) return;
    try {
      const message = reason.slice(0, REASON_CHARS_MAX);
      this.#send(MESSAGE_TYPE.goodbye, 0, JSON.stringify({ code: 'unavailable', message }));
    } catch {
      // No room for a goodbye: it goes without one.
    }
    this.#link.close(reason);
  }

  #receive(header: MessageHeader, plaintext: Buffer): void {
    if (!this.#isTakenUp) {
      this.#isTakenUp = true;
      this.#parts.onTakenUp(this);
    }
    switch (header.type) {
      case MESSAGE_TYPE.request:
      case MESSAGE_TYPE.publish:
        this.#incoming.request(header, plaintext);
        break;
      case MESSAGE_TYPE.result:
      case MESSAGE_TYPE.error:
      case MESSAGE_TYPE.part:
        this.#outgoing.receive(header, plaintext);
        break;
      case MESSAGE_TYPE.cancel:
        this.#incoming.cancel(header.call);
        break;
      case MESSAGE_TYPE.credit:
        this.#incoming.credit(header.call, smallNumber.parse(bodyOf(header, plaintext)));
        break;
      case MESSAGE_TYPE.ping:
        this.#receivePing(header, roundTrip.parse(bodyOf(header, plaintext)));
        break;
      case MESSAGE_TYPE.pong:
        this.#receivePong(header);
        break;
      case MESSAGE_TYPE.goodbye:
        this.#link.abort(`the peer said goodbye: ${goodbye.parse(bodyOf(header, plaintext)).message}`);
        break;
    }
  }

  #receivePing(header: MessageHeader, peerRoundTripMs: number | null): void {
    if (peerRoundTripMs !== null) {
      this.#link.setPeerTime(header.timeMs, peerRoundTripMs / 2);
      this.#measuredAtMs = this.#parts.clock.monotonicMs();
      this.#toldLatencyMs = peerRoundTripMs;
    }
    this.#send(MESSAGE_TYPE.pong, header.call, '');
  }

  #receivePong(header: MessageHeader): void {
    if (this.#pingSentAtMs === undefined || header.call !== this.#pings) return;
    this.#latencyMs = this.#parts.clock.monotonicMs() - this.#pingSentAtMs;
    this.#pingSentAtMs = undefined;
    this.#link.boundPeerTime(header.timeMs, this.#latencyMs);
  }

  /**
   * Tells the round trip where there was silence before: the ping stands behind nothing, so it takes half of that. One over
   * the bound is not told: the pong came late, behind other messages, and the peer would refuse the ping.
   */
  #ping({ inSilence }: { readonly inSilence: boolean }): void {
    this.#pings += 1;
    this.#pingSentAtMs = this.#parts.clock.monotonicMs();
    this.#measuredAtMs = this.#pingSentAtMs;
    const latencyMs = this.#latencyMs;
    const isTold = inSilence && latencyMs !== undefined && latencyMs <= ROUND_TRIP_MS_MAX;
    this.#send(MESSAGE_TYPE.ping, this.#pings, JSON.stringify(isTold ? latencyMs : null));
  }

  #watch(): void {
    const { silentMs } = this;
    const { arrived } = this.#link;
    const pingAfterMs = this.initiator ? PING_AFTER_MS.dialer : PING_AFTER_MS.acceptor;
    const isReceiving = arrived !== this.#arrivedBefore && silentMs < RECORD_MS_MAX;
    this.#arrivedBefore = arrived;
    if (silentMs >= DEAD_AFTER_MS && !isReceiving) {
      this.#link.abort(`nothing was heard of it for ${Math.round(silentMs / 1000)} s`);
      return;
    }
    let nextMs = pingAfterMs - silentMs;
    if (silentMs >= DEAD_AFTER_MS) nextMs = LOOK_AGAIN_MS;
    else if (silentMs >= pingAfterMs) {
      this.#ping({ inSilence: true });
      nextMs = DEAD_AFTER_MS - silentMs;
    } else {
      const measureInMs = this.#measuredAtMs + MEASURE_AFTER_MS - this.#parts.clock.monotonicMs();
      if (measureInMs <= 0) this.#ping({ inSilence: false });
      else nextMs = Math.min(nextMs, measureInMs);
    }
    this.#releaseWatch = this.#parts.clock.after(nextMs, () => this.#watch());
  }

  #send(type: MessageType, call: number, body: string, priority: 'control' | 'interactive' = 'control'): void {
    this.#link.send({ type, priority, budgetMs: 0, call, body, bodyBytes: Buffer.byteLength(body) });
  }

  #closed(reason: string, refused?: SkeinError): void {
    this.#releaseWatch();
    this.#outgoing.close(reason);
    this.#incoming.close(reason);
    this.#parts.onClosed(this, reason, refused);
  }
}

function bodyOf(header: MessageHeader, plaintext: Buffer): unknown {
  if (header.bodyEnd - header.bodyStart > CONTROL_BYTES_MAX)
    throw new SkeinError('A control message is too long', { code: 'too-large' });
  return JSON.parse(plaintext.toString('utf8', header.bodyStart, header.bodyEnd));
}
