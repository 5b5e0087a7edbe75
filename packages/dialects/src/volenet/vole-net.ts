import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { systemBoot } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import { readAnnouncementAnswer } from './announcement-answer.ts';
import { Announcer } from './announcer.ts';
import { DialList } from './dial-list.ts';
import { keepDialling, type VoleTarget } from './dialling.ts';
import { MessageDoor } from './door.ts';
import type { VoleHost } from './host.ts';
import { HttpClient } from './http-client.ts';
import { HttpDoor } from './http-door.ts';
import { HttpPosts } from './http-posts.ts';
import { loadVoleKeys, publicHalf } from './keys.ts';
import type { KnownPeer } from './known-peer.ts';
import { KnownPeers } from './known-peers.ts';
import { searchPeers, type VoleSearchResult } from './memory-search.ts';
import type { VoleMemoryEntry, VoleMemoryQuery, VoleSessionEntry } from './payloads.ts';
import { ReplayGuard } from './replay.ts';
import { VoleSigner } from './signature.ts';
import { formatVoleLine, type VoleId } from './vole-id.ts';
import { VOLE_NET_OPTIONS, type VoleNetOptions } from './vole-net-options.ts';
import type { VoleCallOptions, VolePeer } from './vole-peer.ts';
import { VoleSockets } from './vole-sockets.ts';

const TICK_MS = 5_000;

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
  readonly #replay: ReplayGuard;
  readonly #door: MessageDoor;
  readonly #announcer: Announcer;
  readonly #known: KnownPeers;
  readonly #sockets: VoleSockets;
  readonly #http: HttpClient;
  readonly #httpDoor: HttpDoor;
  readonly #dialling = new DialList({ dial: (target, options) => this.#dial(target, options) });
  readonly #closing = new AbortController();
  #releaseTick: () => void = () => {};

  /** @throws SkeinError `denied` or `corrupt` for a key file that is not as it should be. */
  constructor(parts: VoleNetParts) {
    const { host, directory, ca } = parts;
    const { clock, identity } = host;
    const options = { ...VOLE_NET_OPTIONS, ...parts.options };
    const keys = loadVoleKeys(directory);
    const mlDsa = options.hybrid ? keys.mlDsa : undefined;
    const now = () => clock.now();
    const signer = new VoleSigner({ identity, mlDsa, now });
    const onRefused = (error: SkeinError, address: string, peer?: PeerId) =>
      host.onEvent({ type: 'refused', address, peer, error });
    this.#parts = parts;
    this.id = signer.id;
    this.line = formatVoleLine(identity, host.name, mlDsa && publicHalf(mlDsa));
    this.#replay = new ReplayGuard({ directory, clock, boot: systemBoot(), onError: (error) => this.#problem(error) });
    const door = new MessageDoor({ self: this.id, host, replay: this.#replay, boxKeys: keys, now });
    this.#door = door;
    this.#announcer = new Announcer({ host, signer, line: this.line, keys });
    const announcement = () => this.#announcer.announcement();
    this.#http = new HttpClient({ clock, ca });
    const posts = new HttpPosts(this.#http);
    const known = new KnownPeers({
      host,
      signer,
      options,
      isHybrid: (trust) => door.mlDsaOf(trust) !== undefined,
      post: (url, text) => posts.send(url, text, { signal: this.#closing.signal }),
      announcement,
    });
    this.#known = known;
    const { proofTimeoutMs } = options;
    this.#sockets = new VoleSockets({ clock, door, known, proofTimeoutMs, announcement, onRefused });
    this.#httpDoor = new HttpDoor({
      clock,
      line: this.line,
      name: options.publishName ? host.name : undefined,
      onMessage: (bytes) => this.#receivePosted(bytes),
      onRefused,
    });
  }

  /** Begins to look after its connections; those who dial in are taken from the first on. */
  async start(): Promise<void> {
    this.#tick();
  }

  /** The addresses to keep connected to, in place of those before. Nothing else is ever dialled. */
  setPeers(targets: readonly VoleTarget[]): void {
    this.#dialling.set(targets);
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
    this.#sockets.upgrade(request, socket, head);
  }

  /** The peers that are connected. */
  get peers(): readonly VolePeer[] {
    return this.#known.connected;
  }

  /** The peer with this key, connected or not, if it was ever heard of. */
  peer(id: PeerId): VolePeer | undefined {
    return this.#known.get(id)?.peer;
  }

  /** Keys or what they are granted have changed: connections of keys that are not trusted any more end now. */
  trustChanged(): void {
    this.#known.endUntrusted();
    this.toolsChanged();
  }

  /** The tools offered to peers have changed: those who saw another list are sent the new one. */
  toolsChanged(): void {
    this.#known.toolsChanged();
  }

  /** Tells a write to this node's memory to every connected peer that may read it. */
  broadcastMemory(entry: VoleMemoryEntry): void {
    this.#known.broadcast('memory:sync', 'memory-read', { ...entry, instanceId: this.id });
  }

  /** Tells a turn of a conversation to every connected peer that may have it. */
  broadcastSession(entry: VoleSessionEntry): void {
    this.#known.broadcast('session:sync', 'sessions', { ...entry, instanceId: this.id });
  }

  /** Tells every connected peer that this node leads; to be repeated every 10 s. */
  broadcastHeartbeat(): void {
    this.#known.broadcast('leader:heartbeat', 'presence', { timestamp: this.#parts.host.clock.now() });
  }

  /** Searches the memory of all connected peers at once; says who found what and who did not answer in time. */
  searchMemory(query: Omit<VoleMemoryQuery, 'requestId'>, options: VoleCallOptions = {}): Promise<VoleSearchResult> {
    return searchPeers(this.peers, query, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const reason = 'this node is stopping';
    this.#closing.abort(new SkeinError('This node is stopping', { code: 'canceled' }));
    this.#releaseTick();
    const dialsEnded = this.#dialling.close(this.#closing.signal.reason);
    this.#known.close(reason);
    this.#sockets.close(reason);
    await dialsEnded;
    this.#replay.close();
  }

  #tick(): void {
    this.#releaseTick = this.#parts.host.clock.after(TICK_MS, () => {
      this.#known.tick();
      this.#replay.prune((id) => this.#known.has(id));
      if (!this.#closing.signal.aborted) this.#tick();
    });
  }

  async #dial(target: VoleTarget, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { host, ca } = this.#parts;
    const { url } = target;
    try {
      const parts = {
        target,
        http: this.#http,
        clock: host.clock,
        random: host.random,
        ca,
        announce: () => this.#announcer.write('discover', '*'),
        receive: (answer: Buffer) => this.#receiveAnswer(answer, url),
        peerOf: (key: PeerId) => this.#known.get(key),
        attach: this.#sockets.attach.bind(this.#sockets),
        onProblem: (error: SkeinError, claimed: PeerId | undefined) => host.onEvent({ type: 'problem', url, claimed, error }),
      };
      await keepDialling(parts, { signal });
    } catch (error) {
      this.#problem(SkeinError.from(error));
    }
  }

  /** One message over HTTP; the answer to it, if there is one. @throws SkeinError. */
  #receivePosted(bytes: Buffer): string | undefined {
    const message = this.#door.read(bytes);
    const known = this.#known.of(message.from);
    known.receive(message, undefined);
    if (message.body.type !== 'discover') return undefined;
    return this.#announcer.write('discover:response', known.link.voleId);
  }

  /** The answer to an announcement of ours. @throws SkeinError. */
  #receiveAnswer(answer: Buffer, url: string): KnownPeer {
    const message = this.#door.read(readAnnouncementAnswer(answer, url));
    if (message.body.type !== 'discover:response') {
      throw new SkeinError(`${url} answered an announcement with ${message.body.type}`, { code: 'invalid' });
    }
    this.#parts.host.answeredAt?.(url, message.from.identity.id);
    const known = this.#known.of(message.from);
    known.receive(message, undefined);
    return known;
  }

  #problem(error: SkeinError): void {
    this.#parts.host.onEvent({ type: 'problem', url: undefined, claimed: undefined, error });
  }
}
