import type { Fact, MemoryStore, SearchPeers, SessionStore, ToolSet } from '@skein/agent';
import {
  VOLE_NET_OPTIONS,
  type VoleEvent,
  type VoleId,
  VoleNet,
  type VoleNetOptions,
  type VolePeer,
  voleIdOf,
} from '@skein/dialects';
import { type AuditLog, type Mesh, systemClock, type TrustRecord, type TrustStore } from '@skein/mesh';
import { type Identity, type PeerId, parseKeyLine, SkeinError, shortPeerId } from '@skein/protocol';
import type { Logger } from 'pino';
import { type Authority, dialUrl } from '../../authority.ts';
import type { NodeConfig } from '../../config/load-config.ts';
import type { HostEvent } from '../../events.ts';
import type { HttpDialect } from '../../http-server.ts';
import type { NodeTasks } from '../../node-tasks.ts';
import { Sparingly } from '../../sparingly.ts';
import type { PeerChat } from '../peer-chat/peer-chat.ts';
import type { RemoteTools } from '../remote-tools.ts';
import type { ShareTools } from '../share-tools.ts';
import { DialectProbe, type SpokenDialect } from './probe-dialect.ts';
import { createVoleHost } from './vole-host.ts';
import { entryOfFact, VoleSearch } from './vole-memory.ts';
import { entriesOfTurn, type OwnTurn, VoleTurns } from './vole-turns.ts';

const REFUSALS_PER_MINUTE = 60;
/** Between two words of a leader; VoleNet's own pace. */
const HEARTBEAT_MS = 10_000;
/** `net.encrypt` as the dialect has it. */
const ENCRYPTION = { true: 'prefer', false: 'off', require: 'require' } as const;

export interface VoleFeatureParts {
  readonly name: string;
  readonly identity: Identity;
  readonly net: () => NodeConfig['net'];
  /** A folder of its own. */
  readonly directory: string;
  readonly trust: TrustStore;
  readonly authority: Authority;
  readonly audit: AuditLog;
  readonly mesh: Mesh;
  readonly tools: ToolSet;
  readonly remote: RemoteTools;
  readonly share: ShareTools;
  readonly sessions: SessionStore;
  readonly memory: MemoryStore;
  readonly chat: Pick<PeerChat, 'received' | 'joined'>;
  /** They are put together later than this. */
  readonly tasks: () => NodeTasks;
  readonly isLeading: () => boolean;
  /** Where others may dial this node; empty for nowhere. */
  readonly endpoint: () => string;
  readonly log: Logger;
  readonly onEvent: (event: HostEvent) => void;
  /** An address that was asked what it speaks has said so: `spoken` knows. */
  readonly onDialect: () => void;
}

/** What the configuration says of the dialect; where that takes less, its own bounds count. */
export function voleOptionsOf({ encrypt, authTimeoutMs, maxMessagesPerSecond }: NodeConfig['net']): Partial<VoleNetOptions> {
  return {
    encryption: ENCRYPTION[`${encrypt}`],
    proofTimeoutMs: Math.min(authTimeoutMs, VOLE_NET_OPTIONS.proofTimeoutMs),
    messagesPerSecond: Math.min(maxMessagesPerSecond, VOLE_NET_OPTIONS.messagesPerSecond),
  };
}

/** OpenVole nodes as peers: their tools beside ours, ours for them, under the same grants. */
export class VoleFeature implements AsyncDisposable {
  readonly #parts: VoleFeatureParts;
  readonly #net: VoleNet;
  readonly #probe: DialectProbe;
  readonly #search: VoleSearch;
  readonly #refusals = new Sparingly({ maxPerMinute: REFUSALS_PER_MINUTE, monotonicMs: systemClock.monotonicMs });
  readonly #failures = new Sparingly({ maxPerMinute: REFUSALS_PER_MINUTE, monotonicMs: systemClock.monotonicMs });
  /** Trusted keys by the id they have there; made anew after a change of trust. */
  #index: ReadonlyMap<VoleId, TrustRecord> | undefined;
  /** The last word told of each configured address, so that it is told once. */
  readonly #problems = new Map<string, string>();
  #releaseHeartbeat: () => void = () => {};
  #releaseTools: () => void = () => {};

  constructor(parts: VoleFeatureParts) {
    this.#parts = parts;
    const host = createVoleHost({
      ...parts,
      turns: new VoleTurns({ sessions: parts.sessions }),
      find: (id) => this.#find(id),
      onVoleEvent: (event) => this.#event(event),
    });
    this.#net = new VoleNet({ host, directory: parts.directory, options: voleOptionsOf(parts.net()) });
    this.#probe = new DialectProbe({
      clock: systemClock,
      random: Math.random,
      onKnown: parts.onDialect,
      onProblem: (url, error) => this.#problemAt(url, error),
    });
    this.#search = new VoleSearch({
      peers: () => this.peers,
      isShared: () => parts.net().share.memory,
      monotonicMs: systemClock.monotonicMs,
      now: systemClock.now,
    });
  }

  /** What it answers on the node's port. */
  get door(): HttpDialect {
    const net = this.#net;
    return {
      // An upgrade that is not for this system's own protocol can only be theirs, on whatever path.
      handles: (request) => request.headers.upgrade !== undefined || net.handles(request),
      onRequest: (request, response) => net.onRequest(request, response),
      onUpgrade: (request, socket, head) => net.onUpgrade(request, socket, head),
    };
  }

  async start(): Promise<void> {
    await this.#net.start();
    this.#releaseTools = this.#parts.tools.onChange(() => this.#net.toolsChanged());
    const beat = () => {
      if (this.#parts.isLeading()) this.#net.broadcastHeartbeat();
      this.#releaseHeartbeat = systemClock.after(HEARTBEAT_MS, beat);
    };
    beat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#releaseHeartbeat();
    this.#releaseTools();
    this.#probe.close();
    await this.#net[Symbol.asyncDispose]();
  }

  /** The peers that are met by this protocol, and not also by our own. */
  get peers(): readonly VolePeer[] {
    return this.#net.peers.filter(({ id }) => !this.#parts.mesh.peers.has(id));
  }

  /** What is spoken at a configured address; undefined while it is asked. */
  spoken(url: string, dialect: 'skein' | 'volenet' | 'auto'): SpokenDialect | undefined {
    return dialect === 'auto' ? this.#probe.dialectOf(url) : dialect;
  }

  /** Dials exactly these from now on, and asks none what it speaks that is not among `all`. */
  setPeers(urls: readonly string[], all: ReadonlySet<string>): void {
    this.#probe.keep(all);
    for (const url of this.#problems.keys()) if (!all.has(dialUrl(url))) this.#problems.delete(url);
    this.#net.setPeers(urls.map((url) => ({ url, ...this.#keyAt(url) })));
  }

  /** Keys, what they are granted, or what is shared has changed. */
  trustChanged(): void {
    this.#index = undefined;
    this.#problems.clear();
    this.#net.trustChanged();
  }

  /** A session of our own protocol has ended: what its peer offers by this one counts again. */
  sessionLeft(id: PeerId): void {
    const peer = this.peers.find((one) => one.id === id);
    if (peer === undefined) return;
    this.#offer(peer);
    this.#parts.chat.joined(id);
  }

  /** A turn of this node's own, for those that share the conversation. */
  turnEnded(turn: OwnTurn): void {
    if (!this.#parts.net().share.session) return;
    for (const entry of entriesOfTurn(turn)) this.#net.broadcastSession(entry);
  }

  /** A fact of this node's own, for those that share its memory. */
  factWritten(fact: Fact): void {
    if (this.#parts.net().share.memory) this.#net.broadcastMemory(entryOfFact(fact));
  }

  /** Looks in the memories of these peers. */
  search: SearchPeers = (query, options) => this.#search.search(query, options);

  #find(id: VoleId): TrustRecord | undefined {
    this.#index ??= new Map(this.#parts.trust.list().map((record) => [voleIdOf(record.identity), record]));
    const record = this.#index.get(id);
    return record === undefined || record.revoked ? undefined : record;
  }

  /** The key that the configuration or the trust file names for an address. */
  #keyAt(url: string): { readonly key?: PeerId } {
    const { net, trust } = this.#parts;
    const configured = net().peers.find((peer) => dialUrl(peer.url) === url)?.key;
    if (configured !== undefined) return { key: trust.current(parseKeyLine(configured).identity.id) };
    const recorded = trust.list().find((record) => !record.revoked && record.url !== undefined && dialUrl(record.url) === url);
    return recorded === undefined ? {} : { key: recorded.identity.id };
  }

  #event(event: VoleEvent): void {
    const { remote, mesh, audit, log, tasks, chat, onEvent } = this.#parts;
    switch (event.type) {
      case 'peer-joined': {
        const { id, name } = event.peer;
        this.#problems.clear();
        audit.append({ event: 'peer-joined', peer: id, name, reason: 'VoleNet' });
        if (mesh.peers.has(id)) break;
        onEvent({ type: 'peer-joined', id, name });
        tasks().wake();
        chat.joined(id);
        break;
      }
      case 'tools-changed':
        // A node with a session of ours offers them there, with schemas and cancelling.
        if (!mesh.peers.has(event.peer.id)) this.#offer(event.peer);
        break;
      case 'peer-left': {
        const { id, name } = event.peer;
        audit.append({ event: 'peer-left', peer: id, name, reason: event.reason });
        if (mesh.peers.has(id)) break;
        remote.left(id);
        onEvent({ type: 'peer-left', id, name, reason: event.reason });
        tasks().wake();
        break;
      }
      case 'refused': {
        const left = this.#refusals.admit();
        if (left === undefined) break;
        const { address, peer, error } = event;
        const who = peer === undefined ? { name: address } : { peer, name: this.#nameOf(peer) };
        audit.append({ event: 'vole-refused', ...who, reason: error.message, ...(left === 0 ? {} : { count: left }) });
        break;
      }
      case 'problem': {
        if (event.url !== undefined) this.#problemAt(event.url, event.error, event.claimed);
        else if (this.#failures.admit() !== undefined) {
          log.error({ error: event.error.message, cause: event.error.cause }, 'volenet failed');
        }
        break;
      }
    }
  }

  #offer(peer: VolePeer): void {
    try {
      this.#parts.remote.offer(peer, peer.tools);
    } catch (thrown) {
      const problem = `its tools cannot be listed: ${SkeinError.from(thrown).message}`;
      this.#parts.onEvent({ type: 'peer-problem', id: peer.id, name: peer.name, problem });
    }
  }

  #problemAt(url: string, error: SkeinError, claimed?: PeerId): void {
    const { authority, trust, onEvent } = this.#parts;
    const told = claimed === undefined ? undefined : trust.get(claimed);
    const id = authority.expectedAt(dialUrl(url)) ?? (told?.revoked === false ? told.identity.id : null);
    const said = `${id ?? ''} ${error.message}`;
    if (this.#problems.get(url) === said) return;
    this.#problems.set(url, said);
    const name = id === null ? url : (trust.get(id)?.name ?? url);
    onEvent({ type: 'peer-problem', id, name, problem: error.message });
  }

  #nameOf(id: PeerId): string {
    return this.#parts.trust.get(id)?.name ?? shortPeerId(id);
  }
}
