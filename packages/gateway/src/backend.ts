import type { AgentEvent, OfferedTool } from '@skein/agent';
import type { Json, NodeLoad, PeerId, TaskEvent, TaskOutcome, TaskPriority, TaskState } from '@skein/protocol';

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
  /** Which protocol it speaks. */
  readonly dialect: 'skein' | 'volenet';
  /** What carries the session; null while there is none. */
  readonly transport: 'websocket' | 'http' | null;
  /** What its protocol cannot give, in words; empty for our own. */
  readonly notProtected: readonly string[];
  /** The brain it lets this node use, as it says. */
  readonly brain: string | null;
  /** How busy it is, as it says. */
  readonly load: NodeLoad | null;
  /** Why it is not connected, in words a person can act on. */
  readonly problem: string | null;
}

export interface SessionSummary {
  readonly id: string;
  readonly title: string;
  readonly updatedAtMs: number;
}

/** A node, by its proven id and its label. */
export interface NodeName {
  readonly id: PeerId;
  readonly name: string;
}

/** Work this node accepted, as it is listed. */
export interface TaskSummary {
  readonly id: string;
  /** Who gave it to this node; null for what was asked here. */
  readonly origin: NodeName | null;
  /** Who has it; null for this node. */
  readonly owner: NodeName | null;
  readonly state: TaskState;
  readonly attempt: number;
  /** The first characters of its text. */
  readonly title: string;
  readonly session: string;
  readonly priority: TaskPriority;
  readonly acceptedAtMs: number;
  readonly updatedAtMs: number;
  readonly deadlineAtMs: number;
  readonly tokens: number;
}

/** A task with what was done of it. */
export interface TaskDetail extends TaskSummary {
  readonly steps: readonly { readonly atMs: number; readonly attempt: number; readonly event: TaskEvent }[];
  /** How it ended; null while it has not. */
  readonly outcome: TaskOutcome | null;
}

/** Who leads, as this node knows. */
export interface LeaderStatus {
  readonly mode: 'auto' | 'forced' | 'quorum';
  readonly leader: NodeName | null;
  readonly isMe: boolean;
  readonly term: number;
  readonly voters: readonly NodeName[];
  /** True where a partition can have two leaders. */
  readonly bestEffort: boolean;
  /** What a person should know of it, in words. */
  readonly note: string;
  /** What to do so that the voters elect one leader; null where nothing is to be done. */
  readonly fix: string | null;
}

/** Work that comes round by itself. */
export interface ScheduleStatus {
  readonly name: string;
  /** The expression or interval, as it is written. */
  readonly when: string;
  readonly nextAtMs: number | null;
  /** When it last ran on this node. */
  readonly lastAtMs: number | null;
  /**
   * The last run in the network, as far as this node knows. Only the node that took it on begins it and knows how it went;
   * `away`: that one is not connected, so nobody can tell whether it was done.
   */
  readonly lastRun: { readonly atMs: number; readonly by: NodeName; readonly isMe: boolean; readonly away: boolean } | null;
}

/** This node among the others. */
export interface NetStatus {
  readonly load: NodeLoad;
  /** Null where nobody is to lead: the network is off. */
  readonly leader: LeaderStatus | null;
  readonly schedules: readonly ScheduleStatus[];
  /** Keys of the config file whose change waits for a restart. */
  readonly needRestart: readonly string[];
}

/** A short message between the people at this node and those at a peer. */
export interface PeerMessage {
  /** Names it at its sender. */
  readonly id: string;
  readonly peer: NodeName;
  readonly direction: 'in' | 'out';
  /** When it was written here, or came. */
  readonly atMs: number;
  /**
   * `received` of those that came. Of the others: `waiting` for the peer to be back, `sent`, or `refused`. `sent` means that
   * the peer has it on its disk; a VoleNet peer says nothing of that, and it was handed over.
   */
  readonly state: 'received' | 'waiting' | 'sent' | 'refused';
  /** What comes from a peer is text from outside. */
  readonly text: string;
  /** Why it was refused. */
  readonly problem: string | null;
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
  | { readonly type: 'chat-message'; readonly id: PeerId; readonly name: string; readonly text: string }
  | { readonly type: 'leader-changed'; readonly leader: NodeName | null; readonly term: number }
  /** Conversations went on, or began, on other nodes that share them. */
  | { readonly type: 'sessions-changed' }
  | {
      readonly type: 'task-ended';
      readonly id: string;
      readonly state: TaskState;
      readonly title: string;
      readonly session: string;
    }
  | { readonly type: 'config-reloaded'; readonly applied: readonly string[]; readonly needRestart: readonly string[] }
  | { readonly type: 'config-rejected'; readonly problem: string }
);

/** What is told of a turn that was asked for: first that it is accepted, then how it goes; `answer` or `error` is the last. */
export type TurnEvent =
  | {
      /** It is on the disk now, and only `cancelTask` ends it: whoever asked may go, and come back to `watchTask`. */
      readonly type: 'task-accepted';
      readonly id: string;
      readonly sessionId: string;
      /** What was asked; empty once that is no longer kept. */
      readonly text: string;
    }
  | AgentEvent;

/** What the gateway needs of a node. The host is the one implementation; tests make a fake. */
export interface GatewayBackend {
  status(): NodeStatus;
  peers(): readonly PeerStatus[];
  /** Every tool this node's agent can use, local and remote, under its full name. */
  tools(): readonly OfferedTool[];
  sessions(): readonly SessionSummary[];
  /** The events a session's past turns would have shown: user texts and answers, oldest first. */
  history(sessionId: string): readonly { readonly role: 'user' | 'assistant'; readonly text: string }[];
  /** The ids of this node's own tasks in a conversation that have not ended, the oldest first; the first of many. */
  openTasks(sessionId: string): readonly string[];
  /**
   * Accepts one turn and tells how it goes. With `interactive`, a `confirm-request` waits for `confirm`; without, such a
   * call is refused. A failure is the last event, `error`; only an abort throws. The signal ends what is told, not the
   * work, once that is accepted.
   */
  ask(
    request: {
      /** A UUID; asked again with the same one, it is the same work. */
      readonly id?: string;
      readonly text: string;
      readonly sessionId: string;
      readonly interactive: boolean;
      readonly priority?: TaskPriority;
    },
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<TurnEvent>;
  /**
   * A task from its beginning: what was told of it so far, then what comes; of one that has ended, how.
   * @throws SkeinError `not-found`, `invalid`, at once.
   */
  watchTask(id: string, options: { readonly signal: AbortSignal }): AsyncIterable<TurnEvent>;
  /** False when nothing with this id is waiting. */
  confirm(id: string, approve: boolean): boolean | Promise<boolean>;
  /** @throws SkeinError `not-found`, `invalid`, `denied` and whatever the tool raises. */
  callTool(
    request: { readonly name: string; readonly input: unknown },
    options: { readonly signal: AbortSignal; readonly onDelta?: (delta: string) => void },
  ): Promise<Json>;
  /** The latest first. */
  tasks(): readonly TaskSummary[];
  /** @throws SkeinError `not-found`, `invalid` when the beginning of an id fits several. */
  task(id: string): TaskDetail;
  /** Ends a task, wherever it runs, and resolves with its state then. @throws SkeinError `not-found`, `invalid`. */
  cancelTask(id: string): Promise<TaskState>;
  /** Has a task that failed, was canceled or is unknown run once more. @throws SkeinError `not-found`, `invalid`, `conflict`, `busy`. */
  retryTask(id: string): Promise<TaskState>;
  net(): NetStatus;
  /** The latest messages with a peer, or with all, the oldest first. @throws SkeinError `not-found`, `conflict` for a name of several. */
  messages(peer?: string): readonly PeerMessage[];
  /**
   * Sends a message to a peer, or keeps it until that is back; resolves once it is on the disk, with what has become of it by then.
   * @throws SkeinError `not-found`, `conflict`, `invalid`, `busy` when as many wait for it as may, `canceled`.
   */
  sendMessage(
    message: { readonly peer: string; readonly text: string },
    options: { readonly signal: AbortSignal },
  ): Promise<PeerMessage>;
  /** From now on; a slow reader loses the oldest beyond 1,000. */
  events(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent>;
}
