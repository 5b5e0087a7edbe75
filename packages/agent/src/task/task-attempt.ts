import { SkeinError, type TaskOutcome } from '@skein/protocol';
import { failedOutcome, type TaskExecutor, type TaskInfo, type TaskOwner } from './task.ts';
import type { TaskEnds } from './task-ends.ts';
import type { BegunTask, TaskJournal } from './task-journal.ts';
import type { QueuedTask } from './task-queue.ts';
import { TaskRun, type TaskRunParts } from './task-run.ts';
import { openIntents } from './task-steps.ts';

export interface TaskAttemptParts extends Pick<TaskRunParts, 'clock' | 'meter' | 'announce'> {
  readonly journal: TaskJournal;
  readonly ends: TaskEnds;
  readonly queued: QueuedTask;
  readonly executor: TaskExecutor;
  /** Told when the task could not be given back. */
  readonly onError: ((error: SkeinError) => void) | undefined;
}

/** A task that is to wait again, for another executor or as it was handed over anew. */
export interface WaitsAgain {
  readonly info: TaskInfo;
  /** What it keeps of when it waited before. */
  readonly kept: Partial<QueuedTask>;
}

/** One executor's turn at one task: begun in the journal, run, and its end kept there, or the task given back. */
export class TaskAttempt {
  readonly queued: QueuedTask;
  readonly #parts: TaskAttemptParts;
  readonly #run: TaskRun;
  #handedOver: WaitsAgain | undefined;

  constructor(parts: TaskAttemptParts) {
    this.#parts = parts;
    this.queued = parts.queued;
    const { journal, clock, executor, meter, announce } = parts;
    const { limits } = journal;
    const { info, deadlineMs } = this.queued;
    const feed = parts.ends.feedOf(info);
    this.#run = new TaskRun({ journal, clock, limits, executor, feed, deadlineMs, meter, announce });
  }

  /** The task as it was handed over anew meanwhile: it waits again so, whatever came of this run. */
  get handedOver(): WaitsAgain | undefined {
    return this.#handedOver;
  }

  /** Runs it to its end; undefined once that is kept. Never rejects. */
  async run(): Promise<WaitsAgain | undefined> {
    try {
      return await this.#perform();
    } catch (thrown) {
      const { ends, onError } = this.#parts;
      const error = SkeinError.from(thrown);
      // As `conflict` somebody else has it or has ended it, and tells those who watch.
      if (error.code !== 'conflict') ends.leave(this.queued.info, error);
      onError?.(error);
      return undefined;
    }
  }

  cancel(error: SkeinError): void {
    this.#handedOver = undefined;
    this.#run.stop('canceled', error);
  }

  /** The task was handed over anew: this run of it is over, and it begins again as it is now. */
  takeOver(task: WaitsAgain): void {
    this.#handedOver = task;
    this.#run.stop('taken-over', new SkeinError('The task was handed over anew', { code: 'conflict' }));
  }

  /** As `TaskRun.stopGently`. */
  stopGently(error: SkeinError, graceMs: number): void {
    this.#run.stopGently(error, graceMs);
  }

  /** As `TaskRun.confirm`. */
  confirm(id: string, approve: boolean): Promise<boolean> {
    return this.#run.confirm(id, approve);
  }

  async #perform(): Promise<WaitsAgain | undefined> {
    const { journal, ends, executor } = this.#parts;
    const { info, begunBy, tried } = this.queued;
    const next = begunBy !== undefined && (begunBy !== executor.owner || tried.length > 0);
    const objection = next ? this.#whyNotMove() : undefined;
    if (objection !== undefined) {
      await ends.finish(info, objection);
      return undefined;
    }
    let begun: BegunTask;
    try {
      begun = await journal.begin(info, { owner: executor.owner, next });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      // As `conflict` it was ended or handed over anew meanwhile.
      if (error.code !== 'conflict') await ends.finish(info, failedOutcome('failed', error));
      return undefined;
    }
    const end = await this.#run.run(begun);
    if (end.type === 'unavailable') return this.#giveBack(begun, end.error);
    if (end.type === 'refused') return this.#waitOn(begun, { error: end.error, begunBy: next ? undefined : begunBy });
    if (end.type === 'ended') await ends.finish(begun.fence, end.outcome, this.#run.tokens);
    else if (end.why === 'stopping') await journal.release(begun.fence);
    return undefined;
  }

  /** It was not taken, so nobody has it who had not before, and nobody was lost: it waits on, as long as it may take. */
  async #waitOn(
    begun: BegunTask,
    refused: { readonly error: SkeinError; readonly begunBy: TaskOwner | undefined },
  ): Promise<WaitsAgain | undefined> {
    const { journal, clock, ends } = this.#parts;
    const { error: failure, begunBy } = refused;
    const isInTime = clock.monotonicMs() + (failure.retryAfterMs ?? 0) < this.queued.deadlineMs;
    if (this.queued.info.origin !== journal.self || !isInTime) {
      return this.#giveBack(begun, new SkeinError(failure.message, { code: 'unavailable', cause: failure }));
    }
    const info = await ends.release(begun.fence);
    const { place, sinceMs, deadlineMs, tried } = this.queued;
    return { info, kept: { place, sinceMs, deadlineMs, begunBy, tried, failure, failedMs: clock.monotonicMs() } };
  }

  /** An own task waits for the next executor; one of another node goes back to it: that one chooses who has it. */
  async #giveBack({ fence }: BegunTask, error: SkeinError): Promise<WaitsAgain | undefined> {
    const { journal, clock, ends, executor } = this.#parts;
    const { tokens } = this.#run;
    if (this.queued.info.origin !== journal.self) {
      await ends.finish(fence, failedOutcome('failed', error, tokens), tokens);
      return undefined;
    }
    const info = await ends.release(fence);
    const { place, sinceMs, deadlineMs } = this.queued;
    const tried = [...this.queued.tried, executor.owner];
    const failed = { failure: error, failedMs: clock.monotonicMs() };
    return { info, kept: { place, sinceMs, deadlineMs, begunBy: executor.owner, tried, ...failed } };
  }

  /** How a task ends that somebody had, and that nobody else may go on with. */
  #whyNotMove(): TaskOutcome | undefined {
    const { journal } = this.#parts;
    const { info } = this.queued;
    const open = openIntents(journal.steps(info));
    if (open.length > 0) {
      const message = `The node that had it cannot be reached, and ${open.map(({ name }) => name).join(', ')} was running there: nobody knows whether it took effect`;
      return failedOutcome('unknown', { code: 'unavailable', message });
    }
    if (info.origin === journal.self) return undefined;
    return failedOutcome('failed', { code: 'unavailable', message: 'The node that had it cannot be reached' });
  }
}
