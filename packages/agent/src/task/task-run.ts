import { abortReason, type ConversationEntry, SkeinError, type TaskEvent, type TaskOutcome } from '@skein/protocol';
import type { Brain } from '../brain/brain.ts';
import { Scope, untilAborted } from '../turn/waiting.ts';
import { failedOutcome, type Task, type TaskClock, type TaskExecutor } from './task.ts';
import type { TaskFeed } from './task-feed.ts';
import type { BegunTask, TaskJournal } from './task-journal.ts';
import type { TaskLimits } from './task-limits.ts';

/** Questions to a person that one task may have open; the oldest is forgotten. */
const MAX_QUESTIONS = 64;

/** Why a run was ended from outside. */
export type RunStop = 'canceled' | 'deadline' | 'stopping' | 'taken-over';

/** How a run ended. */
export type RunEnd =
  | { readonly type: 'ended'; readonly outcome: TaskOutcome }
  /** Its executor could not be reached: another may go on from its steps. */
  | { readonly type: 'unavailable'; readonly error: SkeinError }
  /** Another node had no room for it and has not taken it. */
  | { readonly type: 'refused'; readonly error: SkeinError }
  /** The task is another's now, or is to go on in another life of the process. */
  | { readonly type: 'left'; readonly why: 'stopping' | 'taken-over' };

export interface TaskRunParts {
  readonly journal: TaskJournal;
  readonly clock: TaskClock;
  readonly limits: Pick<TaskLimits, 'maxStepEntries' | 'maxStepChars'>;
  readonly executor: TaskExecutor;
  readonly feed: TaskFeed;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  /** The brain as it may be used for this task; tells what it used. */
  readonly meter: (brain: Brain, task: Task, onTokens: (tokens: number) => void) => Brain;
  /** Tells the origin that a call begins which must never be repeated; the call waits for it. */
  readonly announce: (task: Task, call: { readonly id: string; readonly name: string }, signal: AbortSignal) => Promise<void>;
}

/** One run of one task: its executor's events into the journal and to those who watch, its end, its time limit. */
export class TaskRun {
  readonly #parts: TaskRunParts;
  readonly #scope = new Scope({ what: 'The task' });
  readonly #open = new Map<string, string>();
  readonly #questions = new Set<string>();
  #stop: RunStop | undefined;
  #begun: BegunTask | undefined;
  #seq = 0;
  #entries = 0;
  #chars = 0;
  #intents = 0;
  #tokens = 0;
  /** Tokens that are not in the journal yet. */
  #unkept = 0;
  /** The events before, which keep their order. */
  #told: Promise<void> = Promise.resolve();
  #over = false;
  #gently: (() => void) | undefined;
  /** Takes back the timers. */
  readonly #release: (() => void)[] = [];

  constructor(parts: TaskRunParts) {
    this.#parts = parts;
  }

  /** Tokens that this node's brain used in this run. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Ends it soon. Only the first reason counts. */
  stop(why: RunStop, error: SkeinError): void {
    if (this.#stop !== undefined || this.#over) return;
    this.#stop = why;
    this.#scope.abort(error);
  }

  /** Stops it between two calls that must never be repeated, waiting so long for those that run. It goes on another time. */
  stopGently(error: SkeinError, graceMs: number): void {
    this.#gently = () => this.stop('stopping', error);
    if (this.#open.size === 0) this.#gently();
    else this.#release.push(this.#parts.clock.after(graceMs, this.#gently));
  }

  /** Never rejects. */
  async run(begun: BegunTask): Promise<RunEnd> {
    const { executor, clock, deadlineMs } = this.#parts;
    this.#begun = begun;
    this.#seq = begun.nextSeq;
    const { signal } = this.#scope;
    const late = new SkeinError('The task took longer than it was given', { code: 'deadline-exceeded' });
    const remainingMs = Math.max(1, deadlineMs - clock.monotonicMs());
    this.#release.push(clock.after(remainingMs, () => this.stop('deadline', late)));
    try {
      if (signal.aborted) throw abortReason(signal);
      this.#count(begun.steps);
      const outcome = await untilAborted(
        executor.run(begun.task, {
          emit: (event) => this.#emit(event),
          meter: (brain) => this.#meter(brain, begun.task),
          signal,
          steps: begun.steps,
          remainingMs,
        }),
        signal,
      );
      await this.#told;
      return { type: 'ended', outcome: { ...outcome, tokens: Math.max(outcome.tokens, this.#tokens) } };
    } catch (thrown) {
      return this.#failed(SkeinError.from(thrown));
    } finally {
      this.#over = true;
      for (const release of this.#release) release();
      this.#scope.abort(new SkeinError('The task has ended', { code: 'canceled' }));
      this.#scope[Symbol.dispose]();
    }
  }

  /** A person's answer; false when this task asks nothing under that id. */
  async confirm(id: string, approve: boolean): Promise<boolean> {
    const { executor } = this.#parts;
    // Nobody answers in another task's place.
    if (this.#begun === undefined || executor.confirm === undefined || !this.#questions.delete(id)) return false;
    return executor.confirm(this.#begun.task, id, approve);
  }

  #failed(error: SkeinError): RunEnd {
    const running = [...this.#open.values()];
    const note = running.length === 0 ? '' : `; ${running.join(', ')} was running: nobody knows whether it took effect`;
    const end = (state: 'failed' | 'canceled' | 'unknown'): RunEnd => ({
      type: 'ended',
      outcome: failedOutcome(state, { code: error.code, message: error.message + note }, this.#tokens),
    });
    switch (this.#stop) {
      case 'stopping':
      case 'taken-over':
        return { type: 'left', why: this.#stop };
      case 'canceled':
        return end('canceled');
      case 'deadline':
        return end('failed');
      case undefined:
        if (running.length > 0) return end('unknown');
        if (error.code === 'busy' && this.#parts.executor.owner !== 'me') return { type: 'refused', error };
        return error.code === 'unavailable' ? { type: 'unavailable', error } : end('failed');
    }
  }

  #meter(brain: Brain, task: Task): Brain {
    return this.#parts.meter(brain, task, (tokens) => {
      this.#tokens += tokens;
      this.#unkept += tokens;
    });
  }

  /** One after the other, so that nobody is told a later event before an earlier one is kept. */
  async #emit(event: TaskEvent): Promise<void> {
    const told = this.#told.then(() => this.#tell(event));
    // Whoever told it hears of the failure; those after it go on, or fail for the same reason.
    this.#told = told.catch(() => undefined);
    await told;
    if (event.type !== 'intent') return;
    await this.#announce(event);
    // Only now it begins: one that was not let begin has an end that everybody knows.
    if (this.#scope.signal.aborted) throw abortReason(this.#scope.signal);
    this.#open.set(event.id, event.name);
  }

  async #tell(event: TaskEvent): Promise<void> {
    const { journal, feed } = this.#parts;
    if (this.#over || this.#begun === undefined) throw new SkeinError('This run of the task is over', { code: 'conflict' });
    const seq = this.#seq;
    this.#seq += 1;
    if (event.type === 'step') this.#count(event.entries);
    if (event.type === 'intent') this.#countIntent();
    if (event.type === 'step' || event.type === 'intent') {
      const tokens = this.#unkept;
      await journal.step(this.#begun.fence, { seq, event, tokens });
      this.#unkept -= tokens;
    }
    if (event.type === 'step') this.#closeCalls(event.entries);
    if (event.type === 'confirm-request') this.#ask(event.id);
    feed.push({ seq, event });
  }

  #closeCalls(entries: readonly ConversationEntry[]): void {
    for (const { message } of entries) if (message.role === 'tool') this.#open.delete(message.callId);
    if (this.#open.size === 0) this.#gently?.();
  }

  async #announce(call: { readonly id: string; readonly name: string }): Promise<void> {
    const task = this.#begun?.task;
    if (task === undefined || task.origin === this.#parts.journal.self) return;
    await untilAborted(this.#parts.announce(task, call, this.#scope.signal), this.#scope.signal);
  }

  #ask(id: string): void {
    this.#questions.add(id);
    if (this.#questions.size <= MAX_QUESTIONS) return;
    for (const oldest of this.#questions) {
      this.#questions.delete(oldest);
      break;
    }
  }

  /** Each is kept as a step is, and whoever has the task says how many there are. @throws SkeinError `too-large`. */
  #countIntent(): void {
    const { maxStepEntries } = this.#parts.limits;
    this.#intents += 1;
    if (this.#intents <= maxStepEntries) return;
    throw new SkeinError(`The task went over ${maxStepEntries} calls that change something: ask for less at once`, {
      code: 'too-large',
    });
  }

  /** @throws SkeinError `too-large` at the bound of steps. */
  #count(entries: readonly ConversationEntry[]): void {
    const { maxStepEntries, maxStepChars } = this.#parts.limits;
    this.#entries += entries.length;
    this.#chars += JSON.stringify(entries).length;
    if (this.#entries <= maxStepEntries && this.#chars <= maxStepChars) return;
    throw new SkeinError(
      `The task went over ${maxStepEntries} steps or ${maxStepChars} characters of them: ask for less at once`,
      { code: 'too-large' },
    );
  }
}
