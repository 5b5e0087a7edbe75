import { type OfferedTool, Scope, type SessionStore, type ToolSet, untilAborted } from '@skein/agent';
import type { VolePeer } from '@skein/dialects';
import type {
  GatewayBackend,
  NetStatus,
  NodeEvent,
  NodeStatus,
  PeerMessage,
  PeerStatus,
  SessionSummary,
  TaskDetail,
  TaskSummary,
  TurnEvent,
} from '@skein/gateway';
import { Feed, type Mesh, type TrustRecord } from '@skein/mesh';
import type { Json, PeerId, TaskState } from '@skein/protocol';
import type { HostEvent } from './events.ts';
import type { PeerChat } from './features/peer-chat/peer-chat.ts';
import type { Presence } from './features/presence.ts';
import type { NodeTasks } from './node-tasks.ts';

/** Messages of a past conversation that are shown. */
const HISTORY_CHARS = 400_000;

export interface NodeBackendParts {
  readonly status: () => NodeStatus;
  readonly net: () => NetStatus;
  readonly tasks: NodeTasks;
  readonly presence: Presence;
  readonly chat: PeerChat;
  /** The peers that speak VoleNet now. */
  readonly volePeers: () => readonly VolePeer[];
  readonly tools: ToolSet;
  readonly sessions: SessionStore;
  /** Who is trusted with what: the trust file, refined by the configuration. */
  readonly records: () => readonly TrustRecord[];
  /** The address of the configuration where a key is expected. */
  readonly addressOf: (id: PeerId) => string | undefined;
  /** Those of which it is not known whose they are: a peer that was never met may be at any. */
  readonly openAddresses: () => readonly string[];
  readonly mesh: Mesh;
  readonly now: () => number;
  /** The longest one tool call may take: `agent.toolTimeoutMs`. */
  readonly toolTimeoutMs: () => number;
}

/** A node as the gateway and the commands see it. */
export class NodeBackend implements GatewayBackend {
  readonly #parts: NodeBackendParts;
  readonly #feed = new Feed<NodeEvent>();
  readonly #problems = new Map<PeerId, string>();
  readonly #lastSeenAtMs = new Map<PeerId, number>();
  /** What is wrong at open addresses. */
  readonly #unmet = new Map<string, string>();
  /** Those away that are dialled, as a dial that failed tells; the addresses in the config have no trust record of theirs. */
  readonly #dialed = new Set<PeerId>();

  constructor(parts: NodeBackendParts) {
    this.#parts = parts;
  }

  /** Tells whoever watches, and keeps what `peers` shows of those who are away. */
  tell(event: HostEvent): void {
    if (event.type === 'tool-served' && !this.#feed.isRead) return;
    // Proven: HostEvent is NodeEvent without atMs, variant by variant.
    const timed = { ...event, atMs: this.#parts.now() } as NodeEvent;
    switch (timed.type) {
      case 'peer-joined':
        this.#problems.delete(timed.id);
        this.#dialed.delete(timed.id);
        // It may have been at any of them; what is still wrong is told again.
        this.#unmet.clear();
        break;
      case 'peer-left':
        this.#problems.set(timed.id, timed.reason);
        this.#lastSeenAtMs.set(timed.id, timed.atMs);
        break;
      case 'peer-problem':
        if (timed.id === null) {
          // No more than there are in the configuration.
          if (this.#parts.openAddresses().includes(timed.name)) this.#unmet.set(timed.name, timed.problem);
          break;
        }
        this.#problems.set(timed.id, timed.problem);
        if (this.#parts.mesh.peers.get(timed.id) === undefined) this.#dialed.add(timed.id);
        break;
      case 'config-reloaded':
        this.#unmet.clear();
        break;
      default:
        break;
    }
    this.#feed.publish(timed);
  }

  /** A key is trusted, anew or otherwise than before: what `peers` showed of why it is away is over. */
  trusted(id: PeerId): void {
    this.#problems.delete(id);
  }

  status(): NodeStatus {
    return this.#parts.status();
  }

  peers(): readonly PeerStatus[] {
    const offered = Map.groupBy(this.#parts.tools.all(), ({ tool }) => tool.peer?.id);
    const shown = new Map(this.tools().map((tool) => [tool.name, tool]));
    return this.#parts
      .records()
      .filter((record) => !record.revoked)
      .map((record) => {
        const tools = (offered.get(record.identity.id) ?? []).flatMap(({ name }) => shown.get(name) ?? []);
        return this.#peerStatus(record, tools);
      });
  }

  tools(): readonly OfferedTool[] {
    return this.#parts.tools.offered();
  }

  sessions(): readonly SessionSummary[] {
    return this.#parts.sessions.list().map(({ id, title, updatedAtMs }) => ({ id, title, updatedAtMs }));
  }

  history(sessionId: string): readonly { readonly role: 'user' | 'assistant'; readonly text: string }[] {
    return this.#parts.sessions.read(sessionId, { maxChars: HISTORY_CHARS }).flatMap(({ message }) => {
      if (message.role === 'tool' || message.text === '') return [];
      return [{ role: message.role, text: message.text }];
    });
  }

  openTasks(sessionId: string): readonly string[] {
    return this.#parts.tasks.openIn(sessionId);
  }

  ask(request: Parameters<GatewayBackend['ask']>[0], options: { readonly signal: AbortSignal }): AsyncIterable<TurnEvent> {
    return this.#parts.tasks.ask(request, options);
  }

  watchTask(id: string, options: { readonly signal: AbortSignal }): AsyncIterable<TurnEvent> {
    return this.#parts.tasks.watch(id, options);
  }

  confirm(id: string, approve: boolean): Promise<boolean> {
    return this.#parts.tasks.confirm(id, approve);
  }

  tasks(): readonly TaskSummary[] {
    return this.#parts.tasks.list();
  }

  task(id: string): TaskDetail {
    return this.#parts.tasks.get(id);
  }

  cancelTask(id: string): Promise<TaskState> {
    return this.#parts.tasks.cancel(id);
  }

  retryTask(id: string): Promise<TaskState> {
    return this.#parts.tasks.retry(id);
  }

  net(): NetStatus {
    return this.#parts.net();
  }

  messages(peer?: string): readonly PeerMessage[] {
    return this.#parts.chat.list(peer);
  }

  sendMessage(
    message: Parameters<GatewayBackend['sendMessage']>[0],
    options: { readonly signal: AbortSignal },
  ): Promise<PeerMessage> {
    return this.#parts.chat.send(message, options);
  }

  async callTool(
    { name, input }: { readonly name: string; readonly input: unknown },
    { signal, onDelta }: { readonly signal: AbortSignal; readonly onDelta?: (delta: string) => void },
  ): Promise<Json> {
    const { tool, name: what } = this.#parts.tools.find(name);
    const emit = async (delta: string) => onDelta?.(delta);
    const limit = { timeoutMs: this.#parts.toolTimeoutMs(), what, setting: 'agent.toolTimeoutMs' };
    if (tool.keepsLimit === true) return await tool.run(input, { signal, limit, emit });
    using scope = new Scope({ parent: signal, ...limit });
    return await untilAborted(tool.run(input, { signal: scope.signal, emit }), scope.signal);
  }

  events(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent> {
    return this.#feed.subscribe(options);
  }

  #peerStatus(record: TrustRecord, tools: readonly OfferedTool[]): PeerStatus {
    const { id } = record.identity;
    const peer = this.#parts.mesh.peers.get(id);
    const { now, presence } = this.#parts;
    const state = presence.stateOf(id);
    const vole = peer === undefined ? this.#parts.volePeers().find((one) => one.id === id) : undefined;
    if (vole !== undefined) return volePeerStatus(record, vole, { tools, nowMs: now() });
    const address = record.url ?? this.#parts.addressOf(id);
    const isKnown = address !== undefined || this.#dialed.has(id);
    const open = isKnown ? [] : this.#parts.openAddresses();
    return {
      id,
      name: peer?.name ?? record.name,
      state: peer !== undefined ? 'connected' : isKnown || open.length > 0 ? 'connecting' : 'disconnected',
      trust: record.trust,
      address: peer?.address ?? address ?? null,
      latencyMs: peer?.latencyMs ?? null,
      lastSeenAtMs: peer === undefined ? (this.#lastSeenAtMs.get(id) ?? null) : Math.round(now() - peer.silentMs),
      tools,
      dialect: peer === undefined && record.kind === 'vole' ? 'volenet' : 'skein',
      transport: peer === undefined || peer.transport === 'memory' ? null : peer.transport,
      notProtected: [],
      brain: state?.brain ?? null,
      load: state?.load ?? null,
      problem: peer === undefined ? (this.#problems.get(id) ?? this.#problemAmong(open)) : null,
    };
  }

  /** What may be wrong with one that was never met. */
  #problemAmong(open: readonly string[]): string | null {
    const url = open.find((one) => this.#unmet.has(one));
    if (url === undefined) return null;
    const others = open.length === 1 ? '' : `, one of ${open.length} addresses nobody was met at`;
    return `never met; it may be at ${url}${others}: ${this.#unmet.get(url)}`;
  }
}

function volePeerStatus(
  record: TrustRecord,
  peer: VolePeer,
  { tools, nowMs }: { readonly tools: readonly OfferedTool[]; readonly nowMs: number },
): PeerStatus {
  return {
    id: peer.id,
    name: record.name,
    state: 'connected',
    trust: record.trust,
    address: record.url ?? null,
    latencyMs: peer.latencyMs ?? null,
    lastSeenAtMs: nowMs,
    tools,
    dialect: 'volenet',
    transport: peer.transport === 'none' ? null : peer.transport,
    notProtected: peer.notProtected,
    brain: null,
    load: null,
    problem: null,
  };
}
