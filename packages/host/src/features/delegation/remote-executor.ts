import type { ExecutorContext, Task, TaskClock, TaskExecutor } from '@skein/agent';
import type { Peer } from '@skein/mesh';
import {
  abortReason,
  type ConversationEntry,
  type PeerId,
  SkeinError,
  type TaskEvent,
  type TaskOutcome,
  tasksAcknowledge,
  tasksCancel,
  tasksConfirm,
  tasksSubmit,
  tasksWatch,
} from '@skein/protocol';

/** How long a node may take to accept a task, or to let go of one. A silent one is found dead before: whoever takes longer lives, and does not. */
const ACCEPT_MS = 20_000;
/** How long a node may take to answer a word about a task. */
const ANSWER_MS = 10_000;
/** A worker ends a task by its deadline; what it says of that may take so long to come. */
const OUTCOME_MS = 5_000;
/** How often, and after how long, a node that lives and does not hear it is told again to let go of a task. */
const LET_GO_TRIES = 10;
const LET_GO_PAUSE_MS = 1_000;
const REMAINING_MS_MAX = 86_400_000;

export interface RemoteExecutorParts {
  readonly self: PeerId;
  readonly peer: Peer;
  /** The node said that it has no room. */
  readonly onBusy: (error: SkeinError) => void;
  readonly after: TaskClock['after'];
}

/** Has another node do a task: hands it over, takes its steps as they come, and knows of each act before it happens. */
export class RemoteExecutor implements TaskExecutor {
  readonly #parts: RemoteExecutorParts;

  constructor(parts: RemoteExecutorParts) {
    this.#parts = parts;
  }

  get owner(): PeerId {
    return this.#parts.peer.id;
  }

  async run(task: Task, context: ExecutorContext): Promise<TaskOutcome> {
    const { peer, onBusy } = this.#parts;
    let isTaken = false;
    try {
      await this.#submit(task, context);
      isTaken = true;
      const outcome = await this.#watch(task, context);
      isTaken = false;
      // It let go of the task without anybody's wish: the link was cut meanwhile, or it stops.
      if (outcome.state !== 'unknown' && outcome.error?.code === 'unavailable')
        throw new SkeinError(outcome.error.message, outcome.error);
      return { ...outcome, toolCalls: outcome.toolCalls.map((call) => asRunBy(call, peer.name)) };
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      const why = context.signal.aborted ? abortReason(context.signal) : undefined;
      // A node that stops cancels nothing: its leaving has the worker let go, and the next start hands the task over anew.
      const isStopping = why?.code === 'unavailable';
      if (!isStopping && (why !== undefined || isTaken)) await this.#cancel(task);
      else if (error.code === 'busy') {
        onBusy(error);
        const { retryAfterMs = 0 } = error;
        throw new SkeinError(`${peer.name} does not take the task: ${error.message}`, {
          code: 'busy',
          retryAfterMs,
          cause: error,
        });
      }
      // It takes no tasks from this node, or is not what it seemed: another may be all that.
      throw ELSEWHERE.has(error.code) ? unavailable(peer, error.message, error) : error;
    }
  }

  async confirm(task: Task, id: string, approve: boolean): Promise<boolean> {
    const { waiting } = await this.#parts.peer.call(
      tasksConfirm,
      { task: task.id, id, approve },
      { timeoutMs: ANSWER_MS, priority: 'interactive' },
    );
    return waiting;
  }

  async #submit(task: Task, { steps, remainingMs, signal }: ExecutorContext): Promise<void> {
    const { peer, self } = this.#parts;
    const { id, attempt, text, session, priority, interactive, source, history, path } = task;
    const draft = {
      task: id,
      attempt,
      text,
      session,
      priority,
      interactive,
      ...(source === undefined ? {} : { source }),
      history,
      steps,
      path: path.at(-1) === self ? path : [...path, self],
      remainingMs: Math.max(1, Math.min(Math.floor(remainingMs), REMAINING_MS_MAX)),
    };
    try {
      await peer.call(tasksSubmit, draft, { signal, timeoutMs: ACCEPT_MS });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (error.code !== 'deadline-exceeded' || signal.aborted) throw error;
      // The task has its time yet. This node may have it all the same, and is told first that it is another's.
      await this.#cancel(task);
      throw unavailable(peer, 'it did not say that it accepts it', error);
    }
  }

  #watch(task: Task, context: ExecutorContext): Promise<TaskOutcome> {
    const { peer } = this.#parts;
    const { signal, remainingMs } = context;
    const timeoutMs = remainingMs + OUTCOME_MS;
    const known = new Set(context.steps.map((entry) => JSON.stringify(entry)));
    const ended = new Set(context.steps.flatMap(({ message }) => (message.role === 'tool' ? [message.callId] : [])));
    return peer.call(
      tasksWatch,
      { task: task.id, after: 0 },
      {
        signal,
        timeoutMs,
        onPart: async ({ event }) => {
          const own = asOwnEvent(event, peer.name);
          if (own.type === 'step' && own.entries.every((entry) => known.has(JSON.stringify(entry)))) return;
          // Told once more by a node that had the task before: kept again without its result, it would count as cut off.
          if (own.type === 'intent' && ended.has(own.id)) return;
          await context.emit(own);
          if (own.type !== 'intent') return;
          // To give up earlier than the watch does would make of a slow line a call whose end nobody knows.
          await peer.call(tasksAcknowledge, { task: task.id, id: own.id }, { signal, timeoutMs });
        },
      },
    );
  }

  /** Resolves once the node has let go of the task: it said so, or it is away and ends what it does for this one by itself. */
  async #cancel(task: Task): Promise<void> {
    const { peer, after } = this.#parts;
    for (let tries = 1; tries <= LET_GO_TRIES; tries += 1) {
      try {
        await peer.call(tasksCancel, { task: task.id }, { timeoutMs: ACCEPT_MS });
        return;
      } catch (thrown) {
        const { code, retryAfterMs = LET_GO_PAUSE_MS } = SkeinError.from(thrown);
        if (code !== 'busy' && code !== 'deadline-exceeded') return;
        await new Promise<void>((resolve) => after(retryAfterMs, resolve));
      }
    }
  }
}

/** What says nothing of the task, only of the node that was asked. */
const ELSEWHERE: ReadonlySet<string> = new Set(['unavailable', 'busy', 'denied', 'not-found', 'unsupported', 'conflict']);

/** An event of another node as this one tells it on. */
function asOwnEvent(event: TaskEvent, peer: string): TaskEvent {
  switch (event.type) {
    case 'step':
      return { type: 'step', entries: event.entries.map((entry) => asOwnEntry(entry, peer)) };
    case 'tool-call':
    case 'tool-result':
    case 'confirm-request':
      return asRunBy(event, peer);
    case 'turn-start':
    case 'text-delta':
    case 'tool-output':
    case 'intent':
      return event;
  }
}

/** What a worker calls its own tool is another node's for whoever asked. */
function asRunBy<Told extends { readonly peer: string | null }>(told: Told, peer: string): Told {
  return told.peer === null ? { ...told, peer } : told;
}

/** Whatever another node made is text from outside, and only people speak as the user. */
function asOwnEntry({ message, worker, ms }: ConversationEntry, peer: string): ConversationEntry {
  if (message.role === 'user') {
    throw new SkeinError(`${peer} put words into the user's mouth: its steps are refused`, { code: 'invalid' });
  }
  const own = {
    message: message.role === 'tool' ? { ...message, untrusted: true as const } : message,
    tainted: true,
    worker: worker ?? peer,
  };
  return ms === undefined ? own : { ...own, ms };
}

function unavailable(peer: Peer, message: string, cause?: SkeinError): SkeinError {
  return new SkeinError(`${peer.name} does not do the task: ${message}`, {
    code: 'unavailable',
    ...(cause === undefined ? {} : { cause }),
  });
}
