import { type ErrorCode, type NodeLoad, type PeerId, SkeinError, type TaskOutcome, type TaskState } from '@skein/protocol';
import type { Brain } from '../brain/brain.ts';
import { meteredBrain } from './metered-brain.ts';
import {
  failedOutcome,
  isFinal,
  type Placement,
  type Task,
  type TaskClock,
  type TaskDraft,
  type TaskExecutor,
  type TaskInfo,
  type TaskOwner,
  type TaskRef,
  type WatchedEvent,
} from './task.ts';
import { senderOf } from './task-changes.ts';
import { TaskEnds } from './task-ends.ts';
import type { BegunTask, RecoveredTask, TaskJournal } from './task-journal.ts';
import { keyOf, type QueuedTask, TaskQueue } from './task-queue.ts';
import { TaskRun } from './task-run.ts';
import { openIntents } from './task-steps.ts';
import { TokenBudget } from './token-budget.ts';

/** Tasks that the placement is asked about at one time, when it has them wait. */
const MAX_ASKED = 8;
const HOUR_MS = 3_600_000;

export interface TaskRunnerOptions {
  /** Tasks that run on this node at once. */
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

interface Active {
  readonly queued: QueuedTask;
  readonly run: TaskRun;
  readonly local: boolean;
  readonly ended: Promise<void>;
  /** The task as it was handed over anew meanwhile. */
  next: TaskInfo | undefined;
}

/** Runs the tasks of a journal: which one next, by whom, and for how long. */
export class TaskRunner {
  readonly #parts: TaskRunnerParts;
  readonly #journal: TaskJournal;
  readonly #options: TaskRunnerOptions;
  readonly #budget: TokenBudget;
  readonly #queue = new TaskQueue();
  readonly #active = new Map<string, Active>();
  readonly #ends: TaskEnds;
  readonly #others = new Set<Promise<unknown>>();
  #state: 'new' | 'started' | 'stopped' = 'new';
  #places = 0;
  #local = 0;
  #told: NodeLoad | undefined;
  #pumping = false;
  #expiry: { readonly atMs: number; readonly release: () => void } | undefined;

  constructor(parts: TaskRunnerParts) {
    this.#parts = parts;
    this.#journal = parts.journal;
    this.#options = { ...TASK_RUNNER_DEFAULTS, ...parts.options };
    const { journal, clock, onEnded, onError } = parts;
    this.#ends = new TaskEnds({ journal, clock, onEnded, onError });
    this.#budget = new TokenBudget({ clock: parts.clock, maxPerHour: this.#options.maxTokensPerPeerHour });
  }

  /** Takes up what the process before this one left. @throws SkeinError `corrupt`, `unavailable`. */
  async start(): Promise<void> {
    const { clock } = this.#parts;
    for (const [peer, tokens] of this.#journal.tokensSince(clock.now() - HOUR_MS)) {
      if (peer !== this.#journal.self) this.#budget.add(peer, tokens);
    }
    const recovered = await this.#journal.recover();
    this.#state = 'started';
    await Promise.all(recovered.map((one) => this.#recover(one)));
    this.wake();
  }

  /**
   * Takes a task in; resolves once it is on the disk.
   * @throws SkeinError as `TaskJournal.submit`; `busy` for a node that has used up its tokens; `unavailable` when the
   * runner does not run.
   */
  async submit(draft: TaskDraft): Promise<{ readonly task: TaskInfo; readonly duplicate: boolean }> {
    this.#assertStarted();
    const sender = senderOf(draft);
    if (sender !== this.#journal.self) this.#budget.check(sender);
    const accepted = await this.#journal.submit(draft);
    if (!accepted.duplicate) this.#enqueue(accepted.task, {});
    return accepted;
  }

  /**
   * What a task tells from an event's number on: the steps that are kept, what else is still there, then what comes, as
   * it comes. Ends with the task and returns its outcome.
   * @throws SkeinError `not-found`, `unavailable` when the node stops, `corrupt`, or the signal's reason.
   */
  async *watch(
    ref: TaskRef,
    { after = 0, signal }: { readonly after?: number; readonly signal: AbortSignal },
  ): AsyncGenerator<WatchedEvent, TaskOutcome, void> {
    const feed = this.#ends.feedOf(ref);
    let at = after;
    for (;;) {
      if (at + 1 < feed.floor) {
        for (const { seq, event } of this.#journal.steps(ref, { after: at })) {
          if (seq >= feed.floor) break;
          at = seq;
          yield { seq, event };
        }
      }
      const live = feed.next(at);
      if (live !== undefined) {
        at = live.seq;
        yield live;
      } else if (feed.outcome !== undefined) {
        return feed.outcome;
      } else {
        await feed.changed(signal);
      }
    }
  }

  /** How a task ends, when it has. @throws SkeinError as `watch`. */
  async outcome(ref: TaskRef, { signal }: { readonly signal: AbortSignal }): Promise<TaskOutcome> {
    const feed = this.#ends.feedOf(ref);
    while (feed.outcome === undefined) await feed.changed(signal);
    return feed.outcome;
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
      const active = this.#active.get(keyOf(ref));
      if (active === undefined) {
        this.#queue.remove(keyOf(ref));
        await this.#ends.finish(ref, failedOutcome('canceled', error));
      } else {
        active.next = undefined;
        active.run.stop('canceled', error);
        await active.ended;
      }
      state = this.#ends.known(ref).state;
    }
    this.#loadChanged();
    return state;
  }

  /** A person's answer to a `confirm-request` of this task; false when it asks nothing under that id. */
  async confirm(ref: TaskRef, id: string, approve: boolean): Promise<boolean> {
    return (await this.#active.get(keyOf(ref))?.run.confirm(id, approve)) ?? false;
  }

  /** Takes an own task that ended without an answer up again: for a person to say. @throws SkeinError as `TaskJournal.retry`. */
  async retry(ref: TaskRef, options: { readonly remainingMs: number }): Promise<TaskInfo> {
    this.#assertStarted();
    const task = await this.#journal.retry(ref, options);
    this.#enqueue(task, {});
    return task;
  }

  load(): NodeLoad {
    return { running: this.#local, queued: this.#queue.size, capacity: this.#options.capacity };
  }

  /** How many tasks that one node handed over wait. */
  waitingOf(sender: PeerId): number {
    return this.#queue.waitingOf(sender);
  }

  /** Something changed by which a task that waits may be placed. */
  wake(): void {
    if (this.#pumping || this.#state !== 'started') return;
    this.#pumping = true;
    // Once for all that changed in this turn of the event loop.
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** Stops what runs, which stays in the journal and goes on with the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = 'stopped';
    this.#expiry?.release();
    const error = new SkeinError('The node is stopping: the task goes on when it is back', { code: 'unavailable' });
    for (const { run } of this.#active.values()) run.stopGently(error, this.#options.stopGraceMs);
    await Promise.allSettled([...this.#others, ...[...this.#active.values()].map(({ ended }) => ended)]);
    this.#ends.stop(error);
  }

  async #recover({ task, begun, crashes, openIntents: open }: RecoveredTask): Promise<void> {
    const names = open.map(({ name }) => name).join(', ');
    if (open.length > 0 && task.owner === 'me') {
      const message = `The node ended while ${names} ran: nobody knows whether it took effect`;
      await this.#ends.finish(task, failedOutcome('unknown', { code: 'unavailable', message }, task.tokens));
    } else if (crashes >= this.#options.maxCrashes) {
      const message = `The node ended ${crashes} times while this ran, so it is not begun again`;
      await this.#ends.finish(task, failedOutcome('failed', { code: 'unavailable', message }, task.tokens));
    } else {
      this.#enqueue(task, begun ? { begunBy: task.owner } : {});
    }
  }

  #enqueue(info: TaskInfo, more: Partial<QueuedTask>): void {
    if (this.#state !== 'started') return; // It is in the journal, and goes on with the next start.
    const key = keyOf(info);
    const active = this.#active.get(key);
    if (active !== undefined && more.place === undefined) {
      active.next = info;
      active.run.stop('taken-over', new SkeinError('The task was handed over anew', { code: 'conflict' }));
      return;
    }
    const { clock } = this.#parts;
    this.#queue.remove(key);
    this.#places += 1;
    const deadlineMs = clock.monotonicMs() + (info.deadlineAtMs - clock.now());
    const fresh = { place: this.#places, sinceMs: clock.monotonicMs(), deadlineMs, begunBy: undefined };
    this.#queue.add({ key, info, tried: [], failure: undefined, ...fresh, ...more });
    this.#expireAt(deadlineMs);
    this.#loadChanged();
    this.wake();
  }

  #pump(): void {
    const { placement, clock } = this.#parts;
    const { capacity, maxForwarded, maxTries } = this.#options;
    const skip = new Set<string>();
    while (this.#state === 'started' && skip.size < MAX_ASKED) {
      const task = this.#queue.next(skip, clock.monotonicMs());
      const localFree = this.#local < capacity;
      const otherFree = this.#active.size - this.#local < maxForwarded;
      if (task === undefined || !(localFree || otherFree)) break;
      const gaveUp = task.failure !== undefined && task.tried.length >= maxTries;
      const choice = gaveUp ? undefined : placement.choose(task.info, { tried: task.tried, localFree });
      if (choice === undefined && task.failure !== undefined) this.#endQueued(task, task.failure);
      else if (choice === undefined || choice === 'wait' || !(choice.owner === 'me' ? localFree : otherFree))
        skip.add(task.key);
      else this.#begin(task, choice);
    }
    this.#loadChanged();
  }

  #begin(queued: QueuedTask, executor: TaskExecutor): void {
    this.#queue.take(queued);
    const local = executor.owner === 'me';
    const { journal, clock } = this.#parts;
    const run = new TaskRun({
      journal,
      clock,
      limits: journal.limits,
      executor,
      feed: this.#ends.feedOf(queued.info),
      deadlineMs: queued.deadlineMs,
      meter: (brain, task, onTokens) => this.#meter(brain, task.sender, onTokens),
      announce: this.#parts.announce ?? (async () => undefined),
    });
    const started = Promise.withResolvers<void>();
    const active: Active = { queued, run, local, ended: started.promise, next: undefined };
    this.#active.set(queued.key, active);
    this.#local += local ? 1 : 0;
    this.#run(active, executor)
      .catch((thrown: unknown) => this.#parts.onError?.(SkeinError.from(thrown)))
      .finally(() => {
        this.#active.delete(queued.key);
        this.#local -= local ? 1 : 0;
        this.#queue.done(queued);
        if (active.next !== undefined) this.#enqueue(active.next, {});
        this.#loadChanged();
        this.wake();
        started.resolve();
      });
  }

  async #run(active: Active, executor: TaskExecutor): Promise<void> {
    const { queued, run } = active;
    const { info, begunBy } = queued;
    const next = begunBy !== undefined && (begunBy !== executor.owner || queued.tried.length > 0);
    const objection = next ? this.#whyNotMove(queued) : undefined;
    if (objection !== undefined) return this.#ends.finish(info, objection);
    let begun: BegunTask;
    try {
      begun = await this.#journal.begin(info, { owner: executor.owner, next });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      // As `conflict` it was ended or handed over anew meanwhile.
      if (error.code !== 'conflict') await this.#ends.finish(info, failedOutcome('failed', error));
      return;
    }
    const end = await run.run(begun);
    if (end.type === 'ended') await this.#ends.finish(begun.fence, end.outcome, run.tokens);
    else if (end.type === 'unavailable') await this.#replace(active, executor.owner, begun, end.error);
    else if (end.why === 'stopping') await this.#journal.release(begun.fence);
  }

  /** Gives an own task to the next executor; one of another node goes back to it: that one chooses who has it. */
  async #replace({ queued, run }: Active, owner: TaskOwner, { fence }: BegunTask, error: SkeinError): Promise<void> {
    if (queued.info.origin !== this.#journal.self) {
      return this.#ends.finish(fence, failedOutcome('failed', error, run.tokens), run.tokens);
    }
    const info = await this.#journal.release(fence);
    const { place, sinceMs, deadlineMs } = queued;
    this.#enqueue(info, { place, sinceMs, deadlineMs, begunBy: owner, tried: [...queued.tried, owner], failure: error });
  }

  /** How a task ends that somebody had, and that nobody else may go on with. */
  #whyNotMove({ info }: QueuedTask): TaskOutcome | undefined {
    const open = openIntents(this.#journal.steps(info));
    if (open.length > 0) {
      const message = `The node that had it cannot be reached, and ${open.map(({ name }) => name).join(', ')} was running there: nobody knows whether it took effect`;
      return failedOutcome('unknown', { code: 'unavailable', message });
    }
    if (info.origin === this.#journal.self) return undefined;
    return failedOutcome('failed', { code: 'unavailable', message: 'The node that had it cannot be reached' });
  }

  #expireAt(atMs: number): void {
    if (this.#expiry !== undefined && this.#expiry.atMs <= atMs) return;
    this.#expiry?.release();
    const { clock } = this.#parts;
    this.#expiry = { atMs, release: clock.after(Math.max(0, atMs - clock.monotonicMs()), () => this.#expire()) };
  }

  /** Ends what has waited past its time. */
  #expire(): void {
    this.#expiry = undefined;
    const nowMs = this.#parts.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const task of [...this.#queue.all()]) {
      if (task.deadlineMs > nowMs) nextMs = Math.min(nextMs, task.deadlineMs);
      else {
        const why = task.failure === undefined ? '' : `; before that: ${task.failure.message}`;
        this.#endQueued(task, {
          code: 'deadline-exceeded',
          message: `Nobody could take the task in the time it was given${why}`,
        });
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#expireAt(nextMs);
    this.#loadChanged();
  }

  #endQueued(task: QueuedTask, error: { readonly code: ErrorCode; readonly message: string }): void {
    this.#queue.remove(task.key);
    const ended = this.#ends.finish(task.info, failedOutcome('failed', error));
    this.#others.add(ended);
    ended.catch((thrown: unknown) => this.#parts.onError?.(SkeinError.from(thrown))).finally(() => this.#others.delete(ended));
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

  #loadChanged(): void {
    const load = this.load();
    const told = this.#told;
    if (told !== undefined && told.running === load.running && told.queued === load.queued) return;
    this.#told = load;
    this.#parts.onLoadChanged?.(load);
  }

  #assertStarted(): void {
    if (this.#state !== 'started') throw stopped();
  }
}

function stopped(): SkeinError {
  return new SkeinError('This node takes no tasks just now: it is starting or stopping', {
    code: 'unavailable',
    retryAfterMs: 1_000,
  });
}
