import type { AgentEvent, OfferedTool } from '@skein/agent';
import type {
  GatewayBackend,
  NetStatus,
  NodeEvent,
  NodeStatus,
  PeerStatus,
  SessionSummary,
  TaskDetail,
  TaskSummary,
} from '@skein/gateway';
import { type Json, SkeinError, type TaskState } from '@skein/protocol';

type AskOptions = Parameters<GatewayBackend['ask']>;
type CallOptions = Parameters<GatewayBackend['callTool']>;

/** What a scripted turn has at hand. */
export interface ScriptedTurn {
  readonly request: AskOptions[0];
  readonly signal: AbortSignal;
  /** Waits until a person answered the confirmation with this id. */
  confirmed(id: string): Promise<boolean>;
}

export interface ScriptedBackendParts {
  readonly status: NodeStatus;
  readonly peers?: readonly PeerStatus[];
  readonly tools?: readonly OfferedTool[];
  readonly sessions?: readonly SessionSummary[];
  readonly history?: Readonly<Record<string, ReturnType<GatewayBackend['history']>>>;
  readonly tasks?: readonly TaskDetail[];
  readonly net?: NetStatus;
  readonly ask?: (turn: ScriptedTurn) => AsyncIterable<AgentEvent>;
  readonly callTool?: (request: CallOptions[0], options: CallOptions[1]) => Promise<Json>;
}

interface Watcher {
  readonly pending: NodeEvent[];
  wake: (() => void) | undefined;
}

/** A node made of a script, for tests of the gateway and of what stands before it. */
export class ScriptedBackend implements GatewayBackend {
  readonly #parts: ScriptedBackendParts;
  readonly #waiting = new Map<string, (approve: boolean) => void>();
  readonly #watchers = new Set<Watcher>();
  #peers: readonly PeerStatus[];
  #tools: readonly OfferedTool[];
  #tasks: readonly TaskDetail[];

  constructor(parts: ScriptedBackendParts) {
    this.#parts = parts;
    this.#peers = parts.peers ?? [];
    this.#tools = parts.tools ?? [];
    this.#tasks = parts.tasks ?? [];
  }

  status(): NodeStatus {
    return this.#parts.status;
  }

  peers(): readonly PeerStatus[] {
    return this.#peers;
  }

  tools(): readonly OfferedTool[] {
    return this.#tools;
  }

  sessions(): readonly SessionSummary[] {
    return this.#parts.sessions ?? [];
  }

  history(sessionId: string): ReturnType<GatewayBackend['history']> {
    const history = this.#parts.history?.[sessionId];
    if (history === undefined) throw new SkeinError(`There is no session "${sessionId}"`, { code: 'not-found' });
    return history;
  }

  ask(request: AskOptions[0], options: AskOptions[1]): AsyncIterable<AgentEvent> {
    if (this.#parts.ask === undefined) throw new SkeinError('This script has no turns', { code: 'unsupported' });
    const confirmed = (id: string) =>
      new Promise<boolean>((resolve) => {
        this.#waiting.set(id, resolve);
      });
    return this.#parts.ask({ request, signal: options.signal, confirmed });
  }

  confirm(id: string, approve: boolean): boolean {
    this.#waiting.get(id)?.(approve);
    return this.#waiting.delete(id);
  }

  async callTool(request: CallOptions[0], options: CallOptions[1]): Promise<Json> {
    if (this.#parts.callTool === undefined) throw new SkeinError('This script runs no tools', { code: 'unsupported' });
    return await this.#parts.callTool(request, options);
  }

  tasks(): readonly TaskSummary[] {
    return this.#tasks.map(({ steps: _steps, outcome: _outcome, ...summary }) => summary);
  }

  task(id: string): TaskDetail {
    const task = this.#tasks.find((one) => one.id === id);
    if (task === undefined) throw new SkeinError(`There is no task "${id}"`, { code: 'not-found' });
    return task;
  }

  async cancelTask(id: string): Promise<TaskState> {
    return this.#setState(id, 'canceled');
  }

  async retryTask(id: string): Promise<TaskState> {
    return this.#setState(id, 'queued');
  }

  net(): NetStatus {
    return this.#parts.net ?? { load: { running: 0, queued: 0, capacity: 1 }, leader: null, schedules: [] };
  }

  async *events(options: { readonly signal: AbortSignal }): AsyncGenerator<NodeEvent> {
    const watcher: Watcher = { pending: [], wake: undefined };
    this.#watchers.add(watcher);
    const stop = () => watcher.wake?.();
    options.signal.addEventListener('abort', stop);
    try {
      while (!options.signal.aborted) {
        const event = watcher.pending.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      options.signal.removeEventListener('abort', stop);
      this.#watchers.delete(watcher);
    }
  }

  #setState(id: string, state: TaskState): TaskState {
    const task = this.task(id);
    this.#tasks = this.#tasks.map((one) => (one === task ? { ...one, state } : one));
    return state;
  }

  /** How many are watching the events. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Changes the peers and their tools, and tells those who watch; the oldest beyond 1,000 are lost. */
  change(
    state: { readonly peers?: readonly PeerStatus[]; readonly tools?: readonly OfferedTool[] },
    ...events: NodeEvent[]
  ): void {
    this.#peers = state.peers ?? this.#peers;
    this.#tools = state.tools ?? this.#tools;
    for (const watcher of this.#watchers) {
      watcher.pending.push(...events);
      watcher.pending.splice(0, Math.max(0, watcher.pending.length - 1_000));
      watcher.wake?.();
    }
  }
}
