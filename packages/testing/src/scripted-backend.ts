import type { AgentEvent, OfferedTool } from '@skein/agent';
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
import { type Json, SkeinError, type TaskState } from '@skein/protocol';
import { ScriptedTask } from './scripted-task.ts';

type AskOptions = Parameters<GatewayBackend['ask']>;
type CallOptions = Parameters<GatewayBackend['callTool']>;

/** What a scripted turn has at hand. */
export interface ScriptedTurn {
  readonly request: AskOptions[0];
  /** Fires when its task is canceled. */
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
  readonly messages?: readonly PeerMessage[];
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
  readonly #turns = new Map<string, { readonly task: ScriptedTask; readonly canceled: AbortController }>();
  #peers: readonly PeerStatus[];
  #tools: readonly OfferedTool[];
  #sessions: readonly SessionSummary[];
  #history: NonNullable<ScriptedBackendParts['history']>;
  #tasks: readonly TaskDetail[];
  #messages: readonly PeerMessage[];

  constructor(parts: ScriptedBackendParts) {
    this.#parts = parts;
    this.#peers = parts.peers ?? [];
    this.#tools = parts.tools ?? [];
    this.#sessions = parts.sessions ?? [];
    this.#history = parts.history ?? {};
    this.#tasks = parts.tasks ?? [];
    this.#messages = parts.messages ?? [];
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
    return this.#sessions;
  }

  history(sessionId: string): ReturnType<GatewayBackend['history']> {
    const history = this.#history[sessionId];
    if (history !== undefined) return history;
    if ([...this.#turns.values()].some(({ task }) => task.sessionId === sessionId)) return [];
    throw new SkeinError(`There is no session "${sessionId}"`, { code: 'not-found' });
  }

  openTasks(sessionId: string): readonly string[] {
    return [...this.#turns.values()].flatMap(({ task }) => (task.sessionId === sessionId && !task.isOver ? [task.id] : []));
  }

  ask(request: AskOptions[0], options: AskOptions[1]): AsyncIterable<TurnEvent> {
    if (this.#parts.ask === undefined) throw new SkeinError('This script has no turns', { code: 'unsupported' });
    const confirmed = (id: string) =>
      new Promise<boolean>((resolve) => {
        this.#waiting.set(id, resolve);
      });
    const { id = `00000000-0000-4000-9000-${String(this.#turns.size).padStart(12, '0')}`, sessionId, text } = request;
    const known = this.#turns.get(id);
    if (known !== undefined) return known.task.read(options);
    const canceled = new AbortController();
    const events = this.#parts.ask({ request, signal: canceled.signal, confirmed });
    const task = new ScriptedTask({ id, sessionId, text, events });
    this.#turns.set(id, { task, canceled });
    return task.read(options);
  }

  watchTask(id: string, options: AskOptions[1]): AsyncIterable<TurnEvent> {
    const turn = this.#turns.get(id);
    if (turn === undefined) throw new SkeinError(`There is no task "${id}"`, { code: 'not-found' });
    return turn.task.read(options);
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
    const turn = this.#turns.get(id);
    if (turn === undefined) return this.#setState(id, 'canceled');
    turn.canceled.abort(new SkeinError('The task was canceled', { code: 'canceled' }));
    turn.task.cancel();
    return 'canceled';
  }

  async retryTask(id: string): Promise<TaskState> {
    return this.#setState(id, 'queued');
  }

  net(): NetStatus {
    return this.#parts.net ?? { load: { running: 0, queued: 0, capacity: 1 }, leader: null, schedules: [], needRestart: [] };
  }

  messages(peer?: string): readonly PeerMessage[] {
    return this.#messages.filter((message) => peer === undefined || message.peer.name === peer);
  }

  async sendMessage({ peer: name, text }: { readonly peer: string; readonly text: string }): Promise<PeerMessage> {
    const peer = this.#peers.find((one) => one.name === name);
    if (peer === undefined) throw new SkeinError(`There is no peer "${name}"`, { code: 'not-found' });
    const id = `00000000-0000-4000-8000-${String(this.#messages.length).padStart(12, '0')}`;
    const kept = { id, peer: { id: peer.id, name }, direction: 'out', atMs: 1, state: 'sent', text, problem: null } as const;
    this.#messages = [...this.#messages, kept];
    return kept;
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

  /** Changes what is there, and tells those who watch; the oldest beyond 1,000 are lost. */
  change(state: Pick<ScriptedBackendParts, 'peers' | 'tools' | 'sessions' | 'history'>, ...events: NodeEvent[]): void {
    this.#peers = state.peers ?? this.#peers;
    this.#tools = state.tools ?? this.#tools;
    this.#sessions = state.sessions ?? this.#sessions;
    this.#history = state.history ?? this.#history;
    for (const watcher of this.#watchers) {
      watcher.pending.push(...events);
      watcher.pending.splice(0, Math.max(0, watcher.pending.length - 1_000));
      watcher.wake?.();
    }
  }
}
