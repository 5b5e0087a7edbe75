import type { AgentEvent, OfferedTool } from '@skein/agent';
import type { Json, PeerId } from '@skein/protocol';

/** What a node says of itself. */
export interface NodeStatus {
  readonly name: string;
  readonly peerId: PeerId;
  /** The key's fingerprint as words, the same on both sides of a pairing. */
  readonly fingerprint: string;
  readonly version: string;
  readonly port: number;
  readonly startedAtMs: number;
  readonly brain: { readonly name: string; readonly hint: string | null } | null;
}

/** A known peer and how it is reached just now. */
export interface PeerStatus {
  readonly id: PeerId;
  readonly name: string;
  readonly state: 'connected' | 'connecting' | 'disconnected';
  readonly trust: 'full' | 'tool' | 'read';
  readonly address: string | null;
  /** Round trip of the last ping. */
  readonly latencyMs: number | null;
  readonly lastSeenAtMs: number | null;
  readonly tools: readonly OfferedTool[];
  /** Why it is not connected, in words a person can act on. */
  readonly problem: string | null;
}

export interface SessionSummary {
  readonly id: string;
  readonly title: string;
  readonly updatedAtMs: number;
}

/** What happens on a node, for whoever watches. */
export type NodeEvent = { readonly atMs: number } & (
  | { readonly type: 'peer-joined'; readonly id: PeerId; readonly name: string }
  | { readonly type: 'peer-left'; readonly id: PeerId; readonly name: string; readonly reason: string }
  | { readonly type: 'peer-problem'; readonly id: PeerId | null; readonly name: string; readonly problem: string }
  | {
      readonly type: 'tools-changed';
      readonly id: PeerId;
      readonly name: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly redefined: readonly string[];
    }
  | {
      readonly type: 'tool-served';
      readonly id: PeerId;
      readonly name: string;
      readonly tool: string;
      readonly ok: boolean;
      readonly ms: number;
    }
  | { readonly type: 'config-reloaded'; readonly applied: readonly string[]; readonly needRestart: readonly string[] }
  | { readonly type: 'config-rejected'; readonly problem: string }
);

/** What the gateway needs of a node. The host is the one implementation; tests make a fake. */
export interface GatewayBackend {
  status(): NodeStatus;
  peers(): readonly PeerStatus[];
  /** Every tool this node's agent can use, local and remote, under its full name. */
  tools(): readonly OfferedTool[];
  sessions(): readonly SessionSummary[];
  /** The events a session's past turns would have shown: user texts and answers, oldest first. */
  history(sessionId: string): readonly { readonly role: 'user' | 'assistant'; readonly text: string }[];
  /**
   * One turn. With `interactive`, a `confirm-request` waits for `confirm`; without, such a call is refused.
   * A failure is the last event, `error`; only an abort throws.
   */
  ask(
    request: { readonly text: string; readonly sessionId: string; readonly interactive: boolean },
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<AgentEvent>;
  /** False when nothing with this id is waiting. */
  confirm(id: string, approve: boolean): boolean;
  /** @throws SkeinError `not-found`, `invalid`, `denied` and whatever the tool raises. */
  callTool(
    request: { readonly name: string; readonly input: unknown },
    options: { readonly signal: AbortSignal; readonly onDelta?: (delta: string) => void },
  ): Promise<Json>;
  /** From now on; a slow reader loses the oldest beyond 1,000. */
  events(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent>;
}
