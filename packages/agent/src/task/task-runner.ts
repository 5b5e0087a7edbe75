import { type NodeLoad, type PeerId, SkeinError, type TaskOutcome, type TaskState } from '@skein/protocol';
import type { Brain } from '../brain/brain.ts';
import { checkRequestText } from '../turn/request-text.ts';
import { meteredBrain } from './metered-brain.ts';
import {
  failedOutcome,
  isFinal,
  type Placement,
  type Task,
  type TaskClock,
  type TaskDraft,
  type TaskInfo,
  type TaskRef,
  type WatchedEvent,
} from './task.ts';
import { senderOf } from './task-changes.ts';
import { TaskDispatcher } from './task-dispatcher.ts';
import { TaskEnds } from './task-ends.ts';
import type { RecoveredTask, TaskJournal } from './task-journal.ts';
import { TokenBudget } from './token-budget.ts';

const HOUR_MS = 3_600_000;

export interface TaskRunnerOptions {
  /** Tasks that run on this node at once; of another node, one less, where there are several. */
  readonly capacity: number;
  /** Tasks that other nodes run for this one at once. */
  readonly maxForwarded: number;
  /** Nodes that an own task is given to, one after the other, when those before cannot be reached. */
  readonly maxTries: number;
  /** A task during which the process ended so often is not begun again. */
  readonly maxCrashes: number;
  /** Tokens that one other node may have this one's brain use in any hour. */
  readonly maxTokensPerPeerHour: number;
  /** How long a stop waits for calls that must never be repeated. */
  readonly stopGraceMs: number;
}

export const TASK_RUNNER_DEFAULTS: TaskRunnerOptions = {
  capacity: 4,
  maxForwarded: 256,
  maxTries: 4,
  maxCrashes: 5,
  maxTokensPerPeerHour: 1_000_000,
  stopGraceMs: 2_000,
};

export interface TaskRunnerParts {
  readonly journal: TaskJournal;
  readonly placement: Placement;
  readonly clock: TaskClock;
  readonly options?: Partial<TaskRunnerOptions>;
  /** Told of each task that has ended, once that is on the disk. */
  readonly onEnded?: (task: TaskInfo) => void;
  readonly onLoadChanged?: (load: NodeLoad) => void;
  /**
   * Called on the node that runs another's task, before a call begins that must never be repeated; the call waits, and is
   * not run when this rejects. Resolve it once the origin has kept the intent, and no two nodes run that call.
   */
  readonly announce?: (task: Task, call: { readonly id: string; readonly name: string }, signal: AbortSignal) => Promise<void>;
  /** Told what went wrong where nobody waits for it. */
  readonly onError?: (error: SkeinError) => void;
}

/** Runs the tasks of a journal: takes them in, has them dispatched, and tells whoever watches how they go. */
export class TaskRunner {
  readonly #parts: TaskRunnerParts;
  readonly #journal: TaskJournal;
  readonly #options: TaskRunnerOptions;
  readonly #budget: TokenBudget;
  readonly #ends: TaskEnds;
  readonly #dispatcher: TaskDispatcher;

  constructor(parts: TaskRunnerParts) {
    this.#parts = parts;
    this.#journal = parts.journal;
    this.#options = { ...TASK_RUNNER_DEFAULTS, ...parts.options };
    const { journal, placement, clock, onEnded, onLoadChanged, onError, announce = async () => undefined } = parts;
    this.#budget = new TokenBudget({ clock, maxPerHour: this.#options.maxTokensPerPeerHour });
    this.#ends = new TaskEnds({ journal, clock, onEnded, onError });
    this.#dispatcher = new TaskDispatcher({
      journal,
      placement,
      clock,
      ends: this.#ends,
      options: this.#options,
      meter: (brain, task, onTokens) => this.#meter(brain, task.sender, onTokens),
      announce,
      onLoadChanged,
      onError,
    });
  }

  /**
   * Takes up what the process before this one left of this node's own. What others had handed over ends: their sessions with
   * that process are over, so they may have given it to somebody else or not want it any more, and hand it over anew
   * otherwise. @throws SkeinError `corrupt`, `unavailable`.
   */
  async start(): Promise<void> {
    const { clock } = this.#parts;
    for (const [peer, tokens] of this.#journal.tokensSince(clock.now() - HOUR_MS)) {
      if (peer !== this.#journal.self) this.#budget.add(peer, tokens);
    }
    const recovered = (await this.#journal.recover()).map((one) => ({ ...one, end: this.#endOf(one) }));
    // Before anything is taken in: a task that is handed over anew is not the one that ends here.
    await Promise.all(recovered.map(({ task, end }) => (end === undefined ? undefined : this.#ends.finish(task, end))));
    this.#dispatcher.start();
    for (const { task, begun, end } of recovered) {
      if (end === undefined) this.#dispatcher.add(task, begun ? { begunBy: task.owner } : {});
    }
    this.wake();
  }

  /**
   * Takes a task in; resolves once it is on the disk.
   * @throws SkeinError as `TaskJournal.submit` and `checkRequestText`; `busy` for a node that has used up its tokens; `unavailable` when the
   * runner does not run.
   */
  async submit(draft: TaskDraft): Promise<{ readonly task: TaskInfo; readonly duplicate: boolean }> {
    this.#assertStarted();
    checkRequestText(draft.text);
    const sender = senderOf(draft);
    if (sender !== this.#journal.self) this.#budget.check(sender);
    const deadlineMs = this.#parts.clock.monotonicMs() + draft.remainingMs;
    const accepted = await this.#journal.submit(draft);
    if (!accepted.duplicate) this.#dispatcher.add(accepted.task, { deadlineMs });
    return accepted;
  }

  /**
   * What a task tells from an event's number on: the steps that are kept, what else is still there, then what comes, as
   * it comes. Ends with the task and returns its outcome.
   * @throws SkeinError `not-found`, `unavailable` when the node stops, `corrupt`, or the signal's reason.
   */
  watch(
    ref: TaskRef,
    options: { readonly after?: number; readonly signal: AbortSignal },
  ): AsyncGenerator<WatchedEvent, TaskOutcome, void> {
    return this.#ends.watch(ref, options);
  }

  /** How a task ends, when it has. @throws SkeinError as `watch`. */
  outcome(ref: TaskRef, options: { readonly signal: AbortSignal }): Promise<TaskOutcome> {
    return this.#ends.outcome(ref, options);
  }

  /**
   * Ends a task, as its outcome says for this reason; the state it has then, which is another one when it had ended before.
   * @throws SkeinError `not-found`.
   */
  async cancel(ref: TaskRef, error = new SkeinError('The task was canceled', { code: 'canceled' })): Promise<TaskState> {
    this.#assertStarted();
    let { state } = this.#ends.known(ref);
    // A run that ends by itself at this moment may put the task back into the queue: once more, then.
    for (let tries = 0; !isFinal(state) && tries < 3; tries += 1) {
      await this.#dispatcher.cancel(ref, error);
      state = this.#ends.known(ref).state;
    }
    return state;
  }

  /** A person's answer to a `confirm-request` of this task; false when it asks nothing under that id. */
  confirm(ref: TaskRef, id: string, approve: boolean): Promise<boolean> {
    return this.#dispatcher.confirm(ref, id, approve);
  }

  /** Takes an own task that ended without an answer up again: for a person to say. @throws SkeinError as `TaskJournal.retry`. */
  async retry(ref: TaskRef, options: { readonly remainingMs: number }): Promise<TaskInfo> {
    this.#assertStarted();
    const deadlineMs = this.#parts.clock.monotonicMs() + options.remainingMs;
    const task = await this.#journal.retry(ref, options);
    this.#dispatcher.add(task, { deadlineMs });
    return task;
  }

  load(): NodeLoad {
    return this.#dispatcher.load();
  }

  /** How many tasks of one sender could begin on this node now. */
  freeFor(sender: PeerId): number {
    return this.#dispatcher.freeFor(sender);
  }

  /** How many tasks this node has one other do just now. */
  forwardedTo(peer: PeerId): number {
    return this.#dispatcher.forwardedTo(peer);
  }

  /** How many tasks that one node handed over have not ended, those counted that are being written. */
  openOf(sender: PeerId): number {
    return this.#journal.openOf(sender);
  }

  /** How many tasks that one node handed over wait. */
  waitingOf(sender: PeerId): number {
    return this.#dispatcher.waitingOf(sender);
  }

  /** Something changed by which a task that waits may be placed. */
  wake(): void {
    this.#dispatcher.wake();
  }

  /** Stops what runs, which stays in the journal and goes on with the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    const error = new SkeinError('The node is stopping: the task goes on when it is back', { code: 'unavailable' });
    await this.#dispatcher.stop(error);
    this.#ends.stop(error);
  }

  /** How a task ends that is not to go on in this life of the process. */
  #endOf({ task, crashes, openIntents: open }: RecoveredTask): TaskOutcome | undefined {
    const end = (state: 'failed' | 'canceled' | 'unknown', message: string) =>
      failedOutcome(state, { code: 'unavailable', message }, task.tokens);
    if (open.length > 0 && task.owner === 'me') {
      const names = open.map(({ name }) => name).join(', ');
      return end('unknown', `The node ended while ${names} ran: nobody knows whether it took effect`);
    }
    if (task.sender !== this.#journal.self) {
      return end('canceled', 'The node ended before this did: it goes on once the node that handed it over does so anew');
    }
    if (crashes < this.#options.maxCrashes) return undefined;
    return end('failed', `The node ended ${crashes} times while this ran, so it is not begun again`);
  }

  /** What a task uses is counted; for another node's it is bounded as well. */
  #meter(brain: Brain, sender: PeerId, onTokens: (tokens: number) => void): Brain {
    return meteredBrain(brain, async (estimate, signal) => {
      const leave = sender === this.#journal.self ? undefined : await this.#budget.enter(sender, estimate, signal);
      return ({ reported, estimated }) => {
        leave?.(reported ?? estimated);
        onTokens(reported ?? 0);
      };
    });
  }

  #assertStarted(): void {
    if (!this.#dispatcher.isStarted) throw stopped();
  }
}

function stopped(): SkeinError {
  return new SkeinError('This node takes no tasks just now: it is starting or stopping', {
    code: 'unavailable',
    retryAfterMs: 1_000,
  });
}
