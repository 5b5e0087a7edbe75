import type { Clock } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import type { VoleTrust } from './host.ts';
import { type Announcement, isSealable, type VolePayload, type VoleType } from './payloads.ts';
import { type BoxPublicKeys, boxKeysOf, sealBox } from './seal.ts';
import type { VoleSigner } from './signature.ts';
import { parseVoleLine, type VoleId, voleIdOf } from './vole-id.ts';
import type { VoleSocket } from './vole-socket.ts';

/** Sockets of one peer at once; one more closes the oldest that is not proven, or itself. */
const SOCKETS_MAX = 4;
/** Answers that wait until it is known which socket is the peer's. */
const WAITING_MAX = 64;
const WAITING_CHARS_MAX = 8_000_000;
/** A ping goes out on a socket that brought nothing from its owner for so long. */
const QUIET_MS = 20_000;
/** A peer that is met is told anew who this node is so often: it may have forgotten while it was busy. */
const ANNOUNCE_MS = 300_000;

/** Whether what is for one peer alone is sealed: never, where the peer can open it, or else not sent at all. */
export type Encryption = 'off' | 'prefer' | 'require';

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
  /** In the order they came. */
  readonly #sockets = new Set<VoleSocket>();
  readonly #waiting: string[] = [];
  #waitingChars = 0;
  #httpUrl: string | undefined;
  #isConnected = false;
  #announced: Announcement | undefined;
  #boxKeys: BoxPublicKeys | undefined;
  #isHybrid = true;
  #heardAtMs: number;
  #announcedAtMs: number;
  #latencyMs: number | undefined;
  #gone = Promise.withResolvers<string>();

  constructor(parts: PeerLinkParts) {
    this.#parts = parts;
    this.id = parts.trust.identity.id;
    this.voleId = voleIdOf(parts.trust.identity);
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
    if (this.#route() !== undefined) return 'websocket';
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
    return this.#boxKeys?.mlKem !== undefined;
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
    // One who announces no ML-DSA key runs where there is none, and could not check such a signature.
    this.#isHybrid = hasMlDsa || this.#parts.trusted()?.mlDsa !== undefined;
    this.#boxKeys = boxKeysOf(announced.xPublicKey, announced.mlkemPublicKey);
    if (this.isOurs) for (const socket of this.#sockets) socket.lift();
    return true;
  }

  /** Takes a socket whose owner says to be this peer, and asks it to show that. */
  attach(socket: VoleSocket): void {
    if (this.#sockets.has(socket)) return;
    if (this.#sockets.size >= SOCKETS_MAX) {
      // A proven one stays: whoever holds back a message of the peer could otherwise push it out.
      const unproven = [...this.#sockets].find(({ isProven }) => !isProven);
      (unproven ?? socket).close('too many connections', 1013);
      if (unproven === undefined) return;
      this.#sockets.delete(unproven);
    }
    this.#sockets.add(socket);
    if (this.isOurs) socket.lift();
    this.#challenge(socket);
  }

  /** The socket is closed. */
  detach(socket: VoleSocket, reason: string): void {
    if (!this.#sockets.delete(socket)) return;
    if (this.#sockets.size === 0) this.#dropWaiting();
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
    if (this.#route() !== undefined) return;
    this.#httpUrl = url;
    this.#join();
  }

  unreachableOverHttp(reason: string): void {
    this.#httpUrl = undefined;
    this.#leaveUnlessReached(reason);
  }

  /** Called now and then: asks quiet sockets for a sign of life, and reminds the peer of this node. */
  tick(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const isQuiet = nowMs - this.#heardAtMs >= QUIET_MS;
    for (const socket of this.#sockets) if (isQuiet || !socket.isProven) this.#challenge(socket);
    if (this.#isConnected && this.#route() !== undefined && nowMs - this.#announcedAtMs >= ANNOUNCE_MS) {
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
    const text = this.#write(type, payload);
    const socket = this.#route();
    if (socket !== undefined) socket.send(text, { mayWait: false });
    else if (this.#httpUrl !== undefined) await this.#parts.post(this.#httpUrl, text);
    else throw new SkeinError(`${this.#parts.trust.name} is not connected`, { code: 'unavailable' });
  }

  /** Sends an answer the peer waits for: kept for a moment where it is not known yet which way it may take. */
  async answer<T extends VoleType>(type: T, payload: unknown): Promise<void> {
    const text = this.#write(type, payload);
    const socket = this.#route();
    if (socket !== undefined) socket.send(text, { mayWait: true });
    else if (this.#httpUrl !== undefined) await this.#parts.post(this.#httpUrl, text);
    else if (this.#sockets.size === 0) throw new SkeinError('There is no way back to the peer', { code: 'unavailable' });
    else if (this.#waiting.length >= WAITING_MAX || this.#waitingChars + text.length > WAITING_CHARS_MAX) {
      throw new SkeinError('Too much waits for the peer to be proven', { code: 'busy' });
    } else {
      this.#waiting.push(text);
      this.#waitingChars += text.length;
    }
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
      const { id, text } = this.#sign(type, payload);
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
    for (const socket of [...this.#sockets]) socket.close(reason, 1008);
    this.#sockets.clear();
    this.#dropWaiting();
    this.#leaveUnlessReached(reason);
  }

  #challenge(socket: VoleSocket): void {
    const id = this.sendOn(socket, 'ping', { timestamp: this.#parts.clock.now() });
    if (id !== undefined) socket.challenged(id);
  }

  /** A socket that is the peer's: rather one it dialled, where nothing is cut off. */
  #route(): VoleSocket | undefined {
    let proven: VoleSocket | undefined;
    for (const socket of this.#sockets) {
      if (!socket.isProven || !socket.isOpen) continue;
      if (!socket.isLimited) return socket;
      proven = socket;
    }
    return proven;
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
    const proven = [...this.#sockets].filter(({ isProven }) => isProven);
    if (!proven.some(({ direction }) => direction === 'accepted')) return;
    for (const socket of proven) if (socket.direction === 'dialled') socket.close('there is another connection');
  }

  #flush(): void {
    const socket = this.#route();
    if (socket === undefined) return;
    const texts = this.#waiting.splice(0);
    this.#waitingChars = 0;
    try {
      for (const text of texts) socket.send(text, { mayWait: true });
    } catch {
      // The peer takes no more, or is gone: who asked runs out of time, as with every loss there.
    }
  }

  #dropWaiting(): void {
    this.#waiting.length = 0;
    this.#waitingChars = 0;
  }

  #sign(type: VoleType, payload: unknown) {
    return this.#parts.signer.sign({ type, to: this.voleId, payload, hybrid: this.#isHybrid });
  }

  #write(type: VoleType, payload: unknown): string {
    const { encryption, signer, trusted } = this.#parts;
    if (trusted() === undefined) throw new SkeinError('The key of the peer is not trusted any more', { code: 'denied' });
    const { text } = this.#sign(type, payload);
    if (encryption === 'off' || !isSealable(type)) return text;
    const keys = this.#boxKeys;
    if (keys?.mlKem !== undefined) {
      return this.#sign('sealed:direct', { box: sealBox(text, keys, `${signer.id}|${this.voleId}`) }).text;
    }
    if (encryption === 'prefer') return text;
    throw new SkeinError(`${this.#parts.trust.name} announced no keys to seal to, and this node sends it nothing open`, {
      code: 'unsupported',
    });
  }
}

function ignore(): void {}
