import { type ErrorCode, type NodeLoad, type PeerId, SkeinError } from '@skein/protocol';
import { failedOutcome, type Placement, type TaskExecutor, type TaskInfo, type TaskRef } from './task.ts';
import { TaskAttempt, type TaskAttemptParts } from './task-attempt.ts';
import { TaskExpiry } from './task-expiry.ts';
import { TaskPlaces } from './task-places.ts';
import { keyOf, type QueuedTask, TaskQueue } from './task-queue.ts';

/** Tasks that the placement is asked about at one time, when it has them wait. */
const MAX_ASKED = 8;

export interface TaskDispatcherParts extends Omit<TaskAttemptParts, 'queued' | 'executor'> {
  readonly placement: Placement;
  /** As in `TaskRunnerOptions`. */
  readonly options: {
    readonly capacity: number;
    readonly maxForwarded: number;
    readonly maxTries: number;
    readonly stopGraceMs: number;
  };
  readonly onLoadChanged: ((load: NodeLoad) => void) | undefined;
}

interface Active {
  readonly attempt: TaskAttempt;
  /** Resolves once it is among neither those that run nor, unless it waits again, those that wait. */
  readonly over: Promise<void>;
}

/** Which task is next, and by whom it is done: those that wait, those that run, and how many may. */
export class TaskDispatcher {
  readonly #parts: TaskDispatcherParts;
  readonly #queue = new TaskQueue();
  readonly #active = new Map<string, Active>();
  readonly #places: TaskPlaces;
  readonly #expiry: TaskExpiry;
  /** Ends of tasks that never ran, while they are written. */
  readonly #ending = new Set<Promise<unknown>>();
  #state: 'new' | 'started' | 'stopped' = 'new';
  #added = 0;
  #told: NodeLoad | undefined;
  #pumping = false;

  constructor(parts: TaskDispatcherParts) {
    this.#parts = parts;
    const { journal, clock, options } = parts;
    const { capacity, maxForwarded } = options;
    this.#places = new TaskPlaces({ self: journal.self, capacity, maxForwarded });
    this.#expiry = new TaskExpiry({
      queue: this.#queue,
      clock,
      onExpired: (task) => this.#endExpired(task),
      onChecked: () => this.#loadChanged(),
    });
  }

  get isStarted(): boolean {
    return this.#state === 'started';
  }

  start(): void {
    this.#state = 'started';
  }

  /** Begins nothing more, stops what runs, and waits for that. */
  async stop(error: SkeinError): Promise<void> {
    this.#state = 'stopped';
    this.#expiry.close();
    for (const { attempt } of this.#active.values()) attempt.stopGently(error, this.#parts.options.stopGraceMs);
    await Promise.allSettled([...this.#ending, ...[...this.#active.values()].map(({ over }) => over)]);
  }

  /** A task is to wait for its turn. One that runs was handed over anew: that run ends, and it waits as it is now. */
  add(info: TaskInfo, kept: Partial<QueuedTask> = {}): void {
    if (this.#state !== 'started') return; // It is in the journal, and goes on with the next start.
    const key = keyOf(info);
    const active = this.#active.get(key);
    if (active !== undefined) {
      active.attempt.takeOver({ info, kept });
      return;
    }
    const { clock } = this.#parts;
    this.#queue.remove(key);
    this.#added += 1;
    const sinceMs = clock.monotonicMs();
    const fresh = { place: this.#added, sinceMs, deadlineMs: sinceMs + (info.deadlineAtMs - clock.now()), begunBy: undefined };
    const queued = { key, info, tried: [], failure: undefined, failedMs: undefined, ...fresh, ...kept };
    this.#queue.add(queued);
    this.#expiry.watch(queued.deadlineMs);
    this.#loadChanged();
    this.wake();
  }

  /** Ends a task that waits or runs. One that ends by itself at this moment may wait again then. */
  async cancel(ref: TaskRef, error: SkeinError): Promise<void> {
    const key = keyOf(ref);
    const active = this.#active.get(key);
    if (active === undefined) {
      this.#queue.remove(key);
      await this.#parts.ends.finish(ref, failedOutcome('canceled', error));
      this.#loadChanged();
    } else {
      active.attempt.cancel(error);
      await active.over;
    }
  }

  /** As `TaskRunner.confirm`. */
  async confirm(ref: TaskRef, id: string, approve: boolean): Promise<boolean> {
    return (await this.#active.get(keyOf(ref))?.attempt.confirm(id, approve)) ?? false;
  }

  load(): NodeLoad {
    return { running: this.#places.here, queued: this.#queue.size, capacity: this.#parts.options.capacity };
  }

  /** As `TaskPlaces.freeFor`. */
  freeFor(sender: PeerId): number {
    return this.#places.freeFor(sender);
  }

  /** As `TaskPlaces.forwardedTo`. */
  forwardedTo(peer: PeerId): number {
    return this.#places.forwardedTo(peer);
  }

  /** How many tasks of one sender wait. */
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

  #pump(): void {
    const { placement, clock, options } = this.#parts;
    const places = this.#places;
    const hasPlace = (sender: PeerId) => places.freeFor(sender) > 0;
    const skip = new Set<string>();
    while (this.#state === 'started' && skip.size < MAX_ASKED) {
      const task = this.#queue.next(skip, clock.monotonicMs(), hasPlace);
      if (task === undefined) break;
      const localFree = hasPlace(task.info.sender);
      const otherFree = places.isElsewhereFree;
      // Those that have a place come first, so nobody after this one has.
      if (!(localFree || otherFree)) break;
      const gaveUp = task.failure !== undefined && task.tried.length >= options.maxTries;
      const { tried, failedMs = clock.monotonicMs() } = task;
      const sinceFailureMs = clock.monotonicMs() - failedMs;
      const choice = gaveUp ? undefined : placement.choose(task.info, { tried, sinceFailureMs, localFree });
      if (choice === undefined && task.failure !== undefined) this.#endQueued(task, task.failure);
      else if (choice === undefined || choice === 'wait' || !(choice.owner === 'me' ? localFree : otherFree))
        skip.add(task.key);
      else this.#begin(task, choice);
    }
    this.#loadChanged();
  }

  #begin(queued: QueuedTask, executor: TaskExecutor): void {
    const { journal, clock, ends, meter, announce, onError } = this.#parts;
    let attempt: TaskAttempt;
    try {
      attempt = new TaskAttempt({ journal, clock, ends, queued, executor, meter, announce, onError });
    } catch (thrown) {
      // Its row cannot be read: that ends this task, and not the process.
      this.#endQueued(queued, SkeinError.from(thrown));
      return;
    }
    this.#queue.take(queued);
    const leave = this.#places.take(queued.info.sender, executor.owner);
    this.#active.set(queued.key, { attempt, over: this.#perform(attempt, leave) });
  }

  /** Never rejects. */
  async #perform(attempt: TaskAttempt, leave: () => void): Promise<void> {
    const { queued } = attempt;
    const again = await attempt.run();
    this.#active.delete(queued.key);
    leave();
    if (again !== undefined) this.add(again.info, again.kept);
    this.#queue.done(queued);
    const { handedOver } = attempt;
    if (handedOver !== undefined) this.add(handedOver.info, handedOver.kept);
    this.#loadChanged();
    this.wake();
  }

  #endExpired(task: QueuedTask): void {
    const why = task.failure === undefined ? '' : `; before that: ${task.failure.message}`;
    const message = `Nobody could take the task in the time it was given${why}`;
    this.#endQueued(task, { code: 'deadline-exceeded', message });
  }

  #endQueued(task: QueuedTask, error: { readonly code: ErrorCode; readonly message: string }): void {
    const { ends, onError } = this.#parts;
    this.#queue.remove(task.key);
    const ended = ends.finish(task.info, failedOutcome('failed', error));
    this.#ending.add(ended);
    ended.catch((thrown: unknown) => onError?.(SkeinError.from(thrown))).finally(() => this.#ending.delete(ended));
  }

  #loadChanged(): void {
    const load = this.load();
    const told = this.#told;
    if (told !== undefined && told.running === load.running && told.queued === load.queued) return;
    this.#told = load;
    this.#parts.onLoadChanged?.(load);
  }
}
