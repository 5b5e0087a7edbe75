import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { StrangerBudget } from '@skein/mesh';
import { jsonWithin, type PeerId, SkeinError } from '@skein/protocol';
import type WebSocket from 'ws';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { httpBase, keepDialling, postMessage, type VoleTarget } from './dialling.ts';
import { MessageDoor, type VoleMessage } from './door.ts';
import type { VoleHost, VoleTrust } from './host.ts';
import { HttpClient } from './http-client.ts';
import { HttpDoor } from './http-door.ts';
import { loadVoleKeys, publicHalf, type VoleKeys } from './keys.ts';
import { KnownPeer } from './known-peer.ts';
import {
  VOLE_DEPTH_MAX,
  VOLE_MESSAGE_BYTES_MAX,
  VOLE_POST_MS,
  VOLE_PROOF_MS,
  VOLE_SEARCH_MS,
  VOLE_VALUES_MAX,
} from './limits.ts';
import type { Announcement, VoleMemoryEntry, VoleMemoryHit, VoleMemoryQuery, VoleSessionEntry } from './payloads.ts';
import type { Encryption } from './peer-link.ts';
import { ReplayGuard } from './replay.ts';
import { VoleSigner } from './signature.ts';
import { formatVoleLine, spkiBase64, type VoleId } from './vole-id.ts';
import type { VolePeer } from './vole-peer.ts';
import { VoleSocket } from './vole-socket.ts';

/** The release of VoleNet whose behaviour this node shows. */
const SPOKEN_VERSION = '3.0.0';
const TICK_MS = 5_000;
/** Messages on their way to one another over HTTP at once. */
const POSTS_MAX = 64;

const discoverAnswer = z.object({ response: z.unknown().optional() });

/** Options of the dialect, with their defaults. */
export interface VoleNetOptions {
  /** Whether what is for one peer alone is sealed. */
  readonly encryption: Encryption;
  /** Whether to announce an ML-DSA key and sign with it: a millisecond and 4.4 KB a message, and no way back for peers that saw it. */
  readonly hybrid: boolean;
  /** Whether strangers that ask `/volenet/info` are told this node's name. */
  readonly publishName: boolean;
  /** Messages of one peer that are taken in a second; beyond, calls are answered with an error and the rest is refused. */
  readonly messagesPerSecond: number;
  /** How long a socket may take to show whose it is. */
  readonly proofTimeoutMs: number;
}

export const VOLE_NET_OPTIONS: VoleNetOptions = {
  encryption: 'prefer',
  hybrid: true,
  publishName: false,
  messagesPerSecond: 5_000,
  proofTimeoutMs: VOLE_PROOF_MS,
};

export interface VoleNetParts {
  readonly host: VoleHost;
  /** A folder of this dialect's own, for its keys and for what must not be heard again. */
  readonly directory: string;
  readonly options?: Partial<VoleNetOptions>;
  /** Certificates to trust in place of the system's, PEM. */
  readonly ca?: string;
}

/** This node among VoleNet nodes. It listens through an HTTP server that somebody else owns. */
export class VoleNet implements AsyncDisposable {
  /** This node's id and key line, as VoleNet nodes know it. */
  readonly id: VoleId;
  readonly line: string;
  readonly #parts: VoleNetParts;
  readonly #options: VoleNetOptions;
  readonly #keys: VoleKeys;
  readonly #signer: VoleSigner;
  readonly #replay: ReplayGuard;
  readonly #door: MessageDoor;
  readonly #http: HttpClient;
  readonly #httpDoor: HttpDoor;
  readonly #strangers: StrangerBudget;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // One message, then whatever else waits: checking signatures takes long, and one peer must not hold up the others.
    allowSynchronousEvents: false,
    maxPayload: VOLE_MESSAGE_BYTES_MAX,
  });
  /** Trusted keys that sent or were sent something; bounded by the keys that are trusted. */
  readonly #known = new Map<PeerId, KnownPeer>();
  readonly #sockets = new Set<VoleSocket>();
  readonly #dialling = new Map<
    string,
    { readonly target: VoleTarget; readonly stop: AbortController; readonly done: Promise<void> }
  >();
  readonly #closing = new AbortController();
  #posts = 0;
  #releaseTick: () => void = () => {};

  /** @throws SkeinError `denied` or `corrupt` for a key file that is not as it should be. */
  constructor(parts: VoleNetParts) {
    const { host, directory, ca } = parts;
    this.#parts = parts;
    this.#options = { ...VOLE_NET_OPTIONS, ...parts.options };
    this.#keys = loadVoleKeys(directory);
    const mlDsa = this.#options.hybrid ? this.#keys.mlDsa : undefined;
    const now = () => host.clock.now();
    this.#signer = new VoleSigner({ identity: host.identity, mlDsa, now });
    this.id = this.#signer.id;
    this.line = formatVoleLine(host.identity, host.name, mlDsa && publicHalf(mlDsa));
    this.#replay = new ReplayGuard({ directory, clock: host.clock, onError: (error) => this.#problem(error) });
    this.#door = new MessageDoor({ self: this.id, host, replay: this.#replay, boxKeys: this.#keys, now });
    this.#http = new HttpClient({ clock: host.clock, ca });
    this.#strangers = new StrangerBudget(host.clock);
    this.#httpDoor = new HttpDoor({
      clock: host.clock,
      line: this.line,
      name: this.#options.publishName ? host.name : undefined,
      onMessage: (bytes, address) => this.#receivePosted(bytes, address),
      onKnock: host.knock === undefined ? undefined : (knock) => host.knock?.(knock) ?? 'refused',
      onRefused: (error, address) => this.#refused(error, address),
    });
  }

  /** Begins to look after its connections; those who dial in are taken from the first on. */
  async start(): Promise<void> {
    this.#tick();
  }

  /** The addresses to keep connected to, in place of those before. Nothing else is ever dialled. */
  setPeers(targets: readonly VoleTarget[]): void {
    const wanted = new Map(targets.map((target) => [`${httpBase(target.url)} ${target.key ?? ''}`, target]));
    for (const [key, { stop }] of this.#dialling) {
      if (wanted.has(key)) continue;
      this.#dialling.delete(key);
      stop.abort(new SkeinError('The peer is not configured any more', { code: 'canceled' }));
    }
    for (const [key, target] of wanted) if (!this.#dialling.has(key)) this.#dialling.set(key, this.#dial(target));
  }

  /** True for a request that is VoleNet's. */
  handles(request: Pick<IncomingMessage, 'url'>): boolean {
    return this.#httpDoor.handles(request);
  }

  /** Answers one HTTP request that `handles` said is VoleNet's. */
  onRequest(request: IncomingMessage, response: ServerResponse): void {
    void this.#httpDoor.answer(request, response);
  }

  /** Takes a WebSocket that asks for no subprotocol, on whatever path. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const address = request.socket.remoteAddress ?? 'unknown';
    socket.on('error', () => socket.destroy());
    let leave: () => void;
    try {
      if (this.#closing.signal.aborted) throw new SkeinError('This node is stopping', { code: 'unavailable' });
      if (request.headers.origin !== undefined) throw new SkeinError('A page asked for a connection', { code: 'denied' });
      leave = this.#strangers.enter(address);
    } catch (error) {
      this.#refused(SkeinError.from(error), address);
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    socket.once('close', leave);
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket, address, leave));
  }

  /** The peers that are connected. */
  get peers(): readonly VolePeer[] {
    return [...this.#known.values()].filter(({ link }) => link.isConnected).map(({ peer }) => peer);
  }

  /** The peer with this key, connected or not, if it was ever heard of. */
  peer(id: PeerId): VolePeer | undefined {
    return this.#known.get(id)?.peer;
  }

  /** Keys or what they are granted have changed: connections of keys that are not trusted any more end now. */
  trustChanged(): void {
    this.#endUntrusted();
    this.toolsChanged();
  }

  /** The tools offered to peers have changed: those who saw another list are sent the new one. */
  toolsChanged(): void {
    for (const known of this.#known.values()) known.toolsChanged();
  }

  /** Tells a write to this node's memory to every connected peer that may read it. */
  broadcastMemory(entry: VoleMemoryEntry): void {
    this.#broadcast('memory:sync', 'memory-read', { ...entry, instanceId: this.id });
  }

  /** Tells a turn of a conversation to every connected peer that may have it. */
  broadcastSession(entry: VoleSessionEntry): void {
    this.#broadcast('session:sync', 'sessions', { ...entry, instanceId: this.id });
  }

  /** Tells every connected peer that this node leads; to be repeated every 10 s. */
  broadcastHeartbeat(): void {
    this.#broadcast('leader:heartbeat', 'presence', { timestamp: this.#parts.host.clock.now() });
  }

  /** Searches the memory of all connected peers at once; says who found what and who did not answer in time. */
  async searchMemory(
    query: Omit<VoleMemoryQuery, 'requestId'>,
    options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
  ): Promise<{
    readonly found: readonly { readonly peer: VolePeer; readonly hits: readonly VoleMemoryHit[] }[];
    readonly silent: readonly VolePeer[];
  }> {
    const { peers } = this;
    const timeoutMs = options.timeoutMs ?? VOLE_SEARCH_MS;
    const answers = await Promise.allSettled(peers.map((peer) => peer.searchMemory(query, { ...options, timeoutMs })));
    options.signal?.throwIfAborted();
    const both = peers.map((peer, index) => ({ peer, answer: answers[index] }));
    return {
      found: both.flatMap(({ peer, answer }) => (answer?.status === 'fulfilled' ? [{ peer, hits: answer.value }] : [])),
      silent: both.flatMap(({ peer, answer }) => (answer?.status === 'fulfilled' ? [] : [peer])),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const reason = 'this node is stopping';
    this.#closing.abort(new SkeinError('This node is stopping', { code: 'canceled' }));
    this.#releaseTick();
    const dials = [...this.#dialling.values()];
    for (const { stop } of dials) stop.abort(this.#closing.signal.reason);
    for (const known of this.#known.values()) known.close(reason);
    for (const socket of [...this.#sockets]) socket.close(reason, 1001);
    this.#server.close();
    await Promise.allSettled(dials.map(({ done }) => done));
    this.#replay.close();
  }

  #endUntrusted(): void {
    for (const [id, known] of this.#known) {
      if (this.#parts.host.find(known.link.voleId)?.identity.id === id) continue;
      known.close('its key is not trusted any more');
      this.#known.delete(id);
    }
  }

  #tick(): void {
    this.#releaseTick = this.#parts.host.clock.after(TICK_MS, () => {
      this.#endUntrusted();
      for (const known of this.#known.values()) known.tick();
      this.#replay.prune((id) => this.#known.has(id));
      if (!this.#closing.signal.aborted) this.#tick();
    });
  }

  #dial(target: VoleTarget) {
    const { host, ca } = this.#parts;
    const stop = new AbortController();
    const parts = {
      target,
      http: this.#http,
      clock: host.clock,
      random: host.random,
      ca,
      announce: () => this.#signAnnouncement('discover', '*').text,
      receive: (answer: Buffer) => this.#receiveAnswer(answer, target.url),
      peerOf: (key: PeerId) => this.#known.get(key),
      attach: (socket: WebSocket, peer: KnownPeer, address: string) => this.#attachDialled(socket, peer, { address, stop }),
      onProblem: (error: SkeinError) => host.onEvent({ type: 'problem', url: target.url, error }),
    };
    const done = keepDialling(parts, { signal: stop.signal }).catch((error: unknown) => this.#problem(SkeinError.from(error)));
    return { target, stop, done };
  }

  #accept(webSocket: WebSocket, address: string, leave: () => void): void {
    const { clock } = this.#parts.host;
    let isTold = false;
    const socket: VoleSocket = new VoleSocket({
      socket: webSocket,
      direction: 'accepted',
      address,
      clock,
      onMessage: (bytes) => {
        try {
          const message = this.#door.read(bytes, { admit: (sender) => assertOwner(socket, sender) });
          const known = this.#knownOf(message.from);
          socket.owner = known.link.id;
          known.link.attach(socket);
          this.#receive(known, message, socket);
          if (socket.isProven) leave();
        } catch (error) {
          // Said once for a socket of a stranger, who could go on for ever.
          if (socket.isProven || !isTold) this.#refused(SkeinError.from(error), address, socket.owner);
          isTold = true;
        }
      },
      onClosed: (reason) => {
        release();
        leave();
        this.#sockets.delete(socket);
        if (socket.owner !== undefined) this.#known.get(socket.owner)?.link.detach(socket, reason);
      },
    });
    this.#sockets.add(socket);
    const release = this.#closeUnlessProven(socket);
  }

  #attachDialled(
    webSocket: WebSocket,
    known: KnownPeer,
    { address, stop }: { readonly address: string; readonly stop: AbortController },
  ): Promise<string> {
    return new Promise((resolve) => {
      const socket: VoleSocket = new VoleSocket({
        socket: webSocket,
        direction: 'dialled',
        address,
        clock: this.#parts.host.clock,
        onMessage: (bytes) => {
          try {
            const message = this.#door.read(bytes, { admit: (sender) => assertOwner(socket, sender) });
            this.#receive(known, message, socket);
          } catch (error) {
            this.#refused(SkeinError.from(error), address, known.link.id);
          }
        },
        onClosed: (reason) => {
          release();
          stop.signal.removeEventListener('abort', abort);
          this.#sockets.delete(socket);
          known.link.detach(socket, reason);
          resolve(reason);
        },
      });
      const abort = () => socket.close('not wanted any more');
      socket.owner = known.link.id;
      this.#sockets.add(socket);
      const release = this.#closeUnlessProven(socket);
      stop.signal.addEventListener('abort', abort, { once: true });
      if (stop.signal.aborted) abort();
      known.link.attach(socket);
      webSocket.resume();
    });
  }

  #closeUnlessProven(socket: VoleSocket): () => void {
    return this.#parts.host.clock.after(this.#options.proofTimeoutMs, () => {
      if (!socket.isProven) socket.close('auth timeout', 1008);
    });
  }

  /** One message over HTTP. @throws SkeinError. */
  #receivePosted(bytes: Buffer, _address: string): string | undefined {
    const message = this.#door.read(bytes);
    const known = this.#knownOf(message.from);
    known.receive(message, undefined);
    if (message.body.type !== 'discover') return undefined;
    return this.#signAnnouncement('discover:response', known.link.voleId).text;
  }

  #receive(known: KnownPeer, message: VoleMessage, socket: VoleSocket): void {
    known.receive(message, socket);
    if (message.body.type === 'discover') known.link.sendOn(socket, 'discover:response', this.#announcement());
  }

  /** The answer to an announcement of ours: a message within the body. */
  #receiveAnswer(answer: Buffer, url: string): KnownPeer {
    const text = answer.toString();
    let response: unknown;
    try {
      if (!jsonWithin(text, VOLE_DEPTH_MAX + 1, VOLE_VALUES_MAX)) throw new RangeError('too deep');
      ({ response } = discoverAnswer.parse(JSON.parse(text)));
    } catch (cause) {
      throw new SkeinError(`${url} answered an announcement with something else`, { code: 'unavailable', cause });
    }
    if (response === undefined) {
      throw new SkeinError(`${url} did not say who it is: this node’s key may not be trusted there`, { code: 'unavailable' });
    }
    // Parsed and written once more: what is signed is the canonical form, whatever the form it came in.
    const message = this.#door.read(Buffer.from(JSON.stringify(response)));
    if (message.body.type !== 'discover:response') {
      throw new SkeinError(`${url} answered an announcement with ${message.body.type}`, { code: 'invalid' });
    }
    this.#parts.host.answeredAt?.(url, message.from.identity.id);
    const known = this.#knownOf(message.from);
    known.receive(message, undefined);
    return known;
  }

  #knownOf(trust: VoleTrust): KnownPeer {
    const { host } = this.#parts;
    const { id } = trust.identity;
    const before = this.#known.get(id);
    if (before !== undefined) return before;
    const known: KnownPeer = new KnownPeer({
      host,
      signer: this.#signer,
      encryption: this.#options.encryption,
      messagesPerSecond: this.#options.messagesPerSecond,
      isHybrid: () => this.#door.mlDsaOf(trust) !== undefined,
      link: {
        trust,
        trusted: () => {
          const now = host.find(known.link.voleId);
          return now?.identity.id === id ? now : undefined;
        },
        post: (url, text) => this.#post(url, text),
        announcement: () => this.#announcement(),
      },
    });
    this.#known.set(id, known);
    return known;
  }

  async #post(url: string, text: string): Promise<void> {
    if (this.#posts >= POSTS_MAX) throw new SkeinError('Too many messages are under way', { code: 'busy', retryAfterMs: 100 });
    this.#posts += 1;
    try {
      await postMessage(this.#http, url, { text, timeoutMs: VOLE_POST_MS, signal: this.#closing.signal });
    } finally {
      this.#posts -= 1;
    }
  }

  #broadcast(
    type: 'memory:sync' | 'session:sync' | 'leader:heartbeat',
    grant: 'memory-read' | 'sessions' | 'presence',
    payload: object,
  ) {
    // To each by itself, not to "*": then nobody can pass it on as said to others.
    const { host } = this.#parts;
    for (const { link } of this.#known.values()) {
      if (!link.isConnected || host.hasBetter?.(link.id) === true) continue;
      if (host.decide(link.id, grant).allowed) link.trySend(type, payload);
    }
  }

  #announcement(): Announcement {
    const { host } = this.#parts;
    return {
      name: host.name,
      publicKey: this.line,
      endpoint: host.endpoint(),
      capabilities: [],
      role: host.role(),
      version: SPOKEN_VERSION,
      xPublicKey: spkiBase64(publicHalf(this.#keys.x25519)),
      mlkemPublicKey: spkiBase64(publicHalf(this.#keys.mlKem)),
      software: `skein/${host.version}`,
    };
  }

  #signAnnouncement(type: 'discover' | 'discover:response', to: VoleId | '*') {
    return this.#signer.sign({ type, to, payload: this.#announcement(), hybrid: true });
  }

  #refused(error: SkeinError, address: string, peer?: PeerId): void {
    this.#parts.host.onEvent({ type: 'refused', address, peer, error });
  }

  #problem(error: SkeinError): void {
    this.#parts.host.onEvent({ type: 'problem', url: undefined, error });
  }
}

/** A socket speaks for one peer only. */
function assertOwner(socket: VoleSocket, sender: VoleTrust): void {
  if (socket.owner !== undefined && socket.owner !== sender.identity.id) {
    throw new SkeinError('A message of another came on the connection of a peer', { code: 'unauthenticated' });
  }
}
