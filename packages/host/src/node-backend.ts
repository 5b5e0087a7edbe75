import {
  type Agent,
  type AgentEvent,
  type OfferedTool,
  Scope,
  type SessionStore,
  type ToolSet,
  untilAborted,
} from '@skein/agent';
import type { GatewayBackend, NodeEvent, NodeStatus, PeerStatus, SessionSummary } from '@skein/gateway';
import { Feed, type Mesh, type TrustRecord, type TrustStore } from '@skein/mesh';
import { type Json, type PeerId, SkeinError } from '@skein/protocol';
import type { HostEvent } from './events.ts';
import { CALL_TIMEOUT_MS } from './features/remote-tools.ts';

/** Messages of a past conversation that are shown. */
const HISTORY_CHARS = 400_000;

export interface NodeBackendParts {
  readonly status: () => NodeStatus;
  /** Undefined for a node without a brain. */
  readonly agent: Agent | undefined;
  readonly tools: ToolSet;
  readonly sessions: SessionStore;
  readonly trust: TrustStore;
  readonly mesh: Mesh;
  readonly now: () => number;
}

/** A node as the gateway and the commands see it. */
export class NodeBackend implements GatewayBackend {
  readonly #parts: NodeBackendParts;
  readonly #feed = new Feed<NodeEvent>();
  readonly #problems = new Map<PeerId, string>();
  readonly #lastSeenAtMs = new Map<PeerId, number>();
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
        break;
      case 'peer-left':
        this.#problems.set(timed.id, timed.reason);
        this.#lastSeenAtMs.set(timed.id, timed.atMs);
        break;
      case 'peer-problem':
        if (timed.id === null) break;
        this.#problems.set(timed.id, timed.problem);
        if (this.#parts.mesh.peers.get(timed.id) === undefined) this.#dialed.add(timed.id);
        break;
      default:
        break;
    }
    this.#feed.publish(timed);
  }

  status(): NodeStatus {
    return this.#parts.status();
  }

  peers(): readonly PeerStatus[] {
    const offered = Map.groupBy(this.#parts.tools.all(), ({ tool }) => tool.peer?.id);
    const shown = new Map(this.tools().map((tool) => [tool.name, tool]));
    return this.#parts.trust
      .list()
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

  ask(
    request: { readonly text: string; readonly sessionId: string; readonly interactive: boolean },
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<AgentEvent> {
    const { agent } = this.#parts;
    if (agent === undefined) {
      throw new SkeinError('This node has no brain (brain.provider is "none"); ask another node, or give this one a brain', {
        code: 'unsupported',
      });
    }
    return agent.ask(request, options);
  }

  confirm(id: string, approve: boolean): boolean {
    return this.#parts.agent?.confirm(id, approve) ?? false;
  }

  async callTool(
    { name, input }: { readonly name: string; readonly input: unknown },
    { signal, onDelta }: { readonly signal: AbortSignal; readonly onDelta?: (delta: string) => void },
  ): Promise<Json> {
    const named = this.#parts.tools.find(name);
    const emit = async (delta: string) => onDelta?.(delta);
    // A remote call has its deadline already, and ends by it; a tool of this node may hang.
    if (named.peer !== null) return named.tool.run(input, { signal, emit });
    using scope = new Scope({ parent: signal, timeoutMs: CALL_TIMEOUT_MS, what: named.name });
    return await untilAborted(named.tool.run(input, { signal: scope.signal, emit }), scope.signal);
  }

  events(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent> {
    return this.#feed.subscribe(options);
  }

  #peerStatus(record: TrustRecord, tools: readonly OfferedTool[]): PeerStatus {
    const { id } = record.identity;
    const peer = this.#parts.mesh.peers.get(id);
    const { now } = this.#parts;
    return {
      id,
      name: peer?.name ?? record.name,
      state:
        peer !== undefined ? 'connected' : record.url === undefined && !this.#dialed.has(id) ? 'disconnected' : 'connecting',
      trust: record.trust,
      address: peer?.address ?? record.url ?? null,
      latencyMs: peer?.latencyMs ?? null,
      lastSeenAtMs: peer === undefined ? (this.#lastSeenAtMs.get(id) ?? null) : Math.round(now() - peer.silentMs),
      tools,
      problem: peer === undefined ? (this.#problems.get(id) ?? null) : null,
    };
  }
}
