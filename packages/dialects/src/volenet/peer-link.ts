import type { Clock } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import type { VoleTrust } from './host.ts';
import { type Encryption, MessageWriter } from './message-writer.ts';
import type { Announcement, VolePayload, VoleType } from './payloads.ts';
import { PeerSockets } from './peer-sockets.ts';
import type { VoleSigner } from './signature.ts';
import { parseVoleLine, type VoleId, voleIdOf } from './vole-id.ts';
import type { VoleSocket } from './vole-socket.ts';
import { WaitingAnswers } from './waiting-answers.ts';

/** A ping goes out on a socket that brought nothing from its owner for so long. */
const QUIET_MS = 20_000;
/** A peer that is met is told anew who this node is so often: it may have forgotten while it was busy. */
const ANNOUNCE_MS = 300_000;

export interface PeerLinkParts {
  readonly trust: VoleTrust;
  readonly signer: VoleSigner;
  readonly clock: Clock;
  readonly encryption: Encryption;
  /** The key as it is trusted now; undefined when it is not any more. */
  readonly trusted: () => VoleTrust | undefined;
  /** Hands one message to a configured address. */
  readonly post: (url: string, text: string) => Promise<void>;
  readonly announcement: () => Announcement;
  readonly onJoined: () => void;
  readonly onLeft: (reason: string) => void;
}

/** The ways to one peer: its sockets, or a configured address; and what goes out on them. */
export class PeerLink {
  readonly id: PeerId;
  readonly voleId: VoleId;
  readonly #parts: PeerLinkParts;
  readonly #writer: MessageWriter;
  readonly #sockets = new PeerSockets();
  readonly #waiting = new WaitingAnswers();
  #httpUrl: string | undefined;
  #isConnected = false;
  #announced: Announcement | undefined;
  #heardAtMs: number;
  #announcedAtMs: number;
  #latencyMs: number | undefined;
  #gone = Promise.withResolvers<string>();

  constructor(parts: PeerLinkParts) {
    this.#parts = parts;
    this.id = parts.trust.identity.id;
    this.voleId = voleIdOf(parts.trust.identity);
    this.#writer = new MessageWriter({ ...parts, to: this.voleId, name: parts.trust.name });
    this.#heardAtMs = parts.clock.monotonicMs();
    this.#announcedAtMs = this.#heardAtMs;
  }

  /** This node, as the peer knows it. */
  get ownId(): VoleId {
    return this.#parts.signer.id;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get transport(): 'websocket' | 'http' | 'none' {
    if (this.#sockets.route() !== undefined) return 'websocket';
    return this.#httpUrl === undefined ? 'none' : 'http';
  }

  get announced(): Announcement | undefined {
    return this.#announced;
  }

  /** True when the peer is of our own kind: it echoes pings and takes messages as fast as we do. */
  get isOurs(): boolean {
    return this.#announced?.software !== undefined;
  }

  /** Whether it announced both keys that sealing needs. */
  get canOpenBoxes(): boolean {
    return this.#writer.canSeal;
  }

  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /** Resolves with the reason when the peer is not connected any more. */
  get gone(): Promise<string> {
    return this.#gone.promise;
  }

  /** What the peer said of itself, verified to be its own words. False when the key in it is not its own. */
  announce(announced: Announcement): boolean {
    let hasMlDsa: boolean;
    try {
      const line = parseVoleLine(announced.publicKey);
      if (line.identity.id !== this.id) return false;
      hasMlDsa = line.mlDsa !== undefined;
    } catch {
      return false;
    }
    this.#announced = announced;
    this.#writer.learn(announced, { hasMlDsa });
    if (this.isOurs) this.#sockets.lift();
    return true;
  }

  /** Takes a socket whose owner says to be this peer, and asks it to show that. */
  attach(socket: VoleSocket): void {
    if (!this.#sockets.add(socket)) return;
    if (this.isOurs) socket.lift();
    this.#challenge(socket);
  }

  /** The socket is closed. */
  detach(socket: VoleSocket, reason: string): void {
    if (!this.#sockets.delete(socket)) return;
    if (this.#sockets.size === 0) this.#waiting.take();
    this.#leaveUnlessReached(reason);
  }

  /** A pong of this peer came on the socket. */
  answered(socket: VoleSocket, echo: string | undefined): void {
    // One of ours always says which ping it answers; an older answer must not pass for one.
    if (echo === undefined && this.isOurs) return;
    const latencyMs = socket.answered(echo);
    if (latencyMs === undefined) return;
    this.#latencyMs = latencyMs;
    this.#httpUrl = undefined;
    this.#closeSecond();
    this.#join();
    this.#flush();
  }

  /** Something of the peer came and was verified. */
  heard(): void {
    this.#heardAtMs = this.#parts.clock.monotonicMs();
  }

  /** The peer answered an announcement at this configured address, and takes no socket there. */
  reachableOverHttp(url: string): void {
    if (this.#sockets.route() !== undefined) return;
    this.#httpUrl = url;
    this.#join();
  }

  unreachableOverHttp(reason: string): void {
    this.#httpUrl = undefined;
    this.#leaveUnlessReached(reason);
  }

  /** Called now and then: asks quiet sockets for a sign of life, and reminds the peer of this node. */
  tick(): void {
    this.#writer.tick();
    const nowMs = this.#parts.clock.monotonicMs();
    const isQuiet = nowMs - this.#heardAtMs >= QUIET_MS;
    for (const socket of this.#sockets) if (isQuiet || !socket.isProven) this.#challenge(socket);
    if (this.#isConnected && this.#sockets.route() !== undefined && nowMs - this.#announcedAtMs >= ANNOUNCE_MS) {
      this.#announcedAtMs = nowMs;
      this.trySend('discover', this.#parts.announcement());
    }
  }

  /**
   * Sends what may be for this peer alone: only where it is proven to be.
   * @throws SkeinError `unavailable`, `busy`, `too-large`, `denied` for a key that is not trusted any more,
   * `unsupported` when it must be sealed and cannot be.
   */
  async send<T extends VoleType>(type: T, payload: unknown): Promise<void> {
    const socket = this.#sockets.route();
    const url = this.#httpUrl;
    // Before it is signed, which costs up to two milliseconds.
    if (socket === undefined && url === undefined) {
      throw new SkeinError(`${this.#parts.trust.name} is not connected`, { code: 'unavailable' });
    }
    const text = this.#writer.write(type, payload);
    if (socket !== undefined) socket.send(text, { mayWait: false });
    else if (url !== undefined) await this.#parts.post(url, text);
  }

  /** Sends an answer the peer waits for: kept for a moment where it is not known yet which way it may take. */
  async answer<T extends VoleType>(type: T, payload: unknown): Promise<void> {
    const text = this.#writer.write(type, payload);
    const socket = this.#sockets.route();
    if (socket !== undefined) socket.send(text, { mayWait: true });
    else if (this.#httpUrl !== undefined) await this.#parts.post(this.#httpUrl, text);
    else if (this.#sockets.size === 0) throw new SkeinError('There is no way back to the peer', { code: 'unavailable' });
    else this.#waiting.add(text);
  }

  /** Sends what may be lost. */
  trySend<T extends VoleType>(type: T, payload: unknown): void {
    this.send(type, payload).catch(ignore);
  }

  /** Sends what is no secret on one socket, whoever it turns out to belong to. */
  sendOn<T extends 'ping' | 'pong' | 'discover' | 'discover:response'>(
    socket: VoleSocket,
    type: T,
    payload: T extends 'ping' | 'pong' ? VolePayload<T> : Announcement,
  ): string | undefined {
    try {
      const { id, text } = this.#writer.sign(type, payload);
      socket.send(text, { mayWait: true });
      return id;
    } catch {
      // It is closing, or takes nothing; its end is told apart from this.
      return undefined;
    }
  }

  /** Ends every connection of the peer. */
  close(reason: string): void {
    this.#httpUrl = undefined;
    this.#sockets.close(reason);
    this.#waiting.take();
    this.#leaveUnlessReached(reason);
  }

  #challenge(socket: VoleSocket): void {
    const id = this.sendOn(socket, 'ping', { timestamp: this.#parts.clock.now() });
    if (id !== undefined) socket.challenged(id);
  }

  #join(): void {
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#announcedAtMs = this.#parts.clock.monotonicMs();
    this.#parts.onJoined();
  }

  #leaveUnlessReached(reason: string): void {
    if (!this.#isConnected || this.transport !== 'none') return;
    this.#isConnected = false;
    this.#gone.resolve(reason);
    this.#gone = Promise.withResolvers();
    this.#parts.onLeft(reason);
  }

  /** Of two that dialled each other, the lower id's connection stays. Only among ours: others forget the peer. */
  #closeSecond(): void {
    if (!this.isOurs || this.#parts.signer.id < this.voleId) return;
    this.#sockets.closeDialled('there is another connection');
  }

  #flush(): void {
    const socket = this.#sockets.route();
    if (socket === undefined) return;
    try {
      for (const text of this.#waiting.take()) socket.send(text, { mayWait: true });
    } catch {
      // The peer takes no more, or is gone: who asked runs out of time, as with every loss there.
    }
  }
}

function ignore(): void {}
