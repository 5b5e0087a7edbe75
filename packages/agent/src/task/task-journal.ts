import type { Database, Writer } from '@skein/engine';
import {
  type ConversationEntry,
  type PeerId,
  SkeinError,
  shortPeerId,
  type TaskEvent,
  type TaskOutcome,
} from '@skein/protocol';
import type { SessionStore } from '../session/session-store.ts';
import { isFinal, type Task, type TaskDraft, type TaskInfo, type TaskOwner, type TaskRef, type TaskStep } from './task.ts';
import { acceptTask, checkDraft, forgottenOutcome, pruneTasks, retryTask, senderOf } from './task-changes.ts';
import { TaskConversations } from './task-conversations.ts';
import { TaskCounts } from './task-counts.ts';
import { type MachineClock, TaskEpoch } from './task-epoch.ts';
import { TASK_LIMITS, type TaskLimits } from './task-limits.ts';
import { findHandedOver, findOpen, findOpenIn, findRows, sumTokens, type TaskFilter } from './task-queries.ts';
import {
  findRow,
  infoOf,
  insertStep,
  putText,
  readSteps,
  readTexts,
  type TaskRow,
  type TaskTexts,
  updateRow,
} from './task-rows.ts';
import { entriesOf, openIntents } from './task-steps.ts';

/** The events of each run of a task are numbered from here on: more than one run can tell. */
const EVENTS_PER_RUN = 2 ** 32;
/** Runs whose numbers are apart; far more than one task can have. */
const MAX_RUNS = 2 ** 20;
/** Ended tasks between two looks for those to forget. */
const PRUNE_EVERY = 64;
/** Between two looks when no more can be known, and so nothing ends. */
const PRUNE_PAUSE_MS = 10_000;

export interface TaskJournalParts {
  /** Opened with `taskMigrations`, and with those of the sessions when there are any. Who opened it closes it. */
  readonly database: Database;
  readonly self: PeerId;
  /** Where the conversations of this node's own tasks are kept, in the same database; without, they begin empty. */
  readonly sessions?: SessionStore;
  readonly now: () => number;
  /** By which deadlines hold though the wall clock is set; without, they do while the process lives. */
  readonly machine?: MachineClock | undefined;
  readonly limits?: Partial<TaskLimits>;
}

/** The right to write of one run of a task; refused as `conflict` once the task was begun anew or has ended. */
export interface Fence extends TaskRef {
  readonly attempt: number;
  readonly run: number;
}

/** A task that was begun: what it takes to run it. */
export interface BegunTask {
  readonly task: Task;
  readonly fence: Fence;
  /** What was done of it before, after its own text. */
  readonly steps: readonly ConversationEntry[];
  /** The number that its next event has at least. */
  readonly nextSeq: number;
}

/** An open task as it was found when the node started. */
export interface RecoveredTask {
  readonly task: TaskInfo;
  /** It was begun before, by its owner. */
  readonly begun: boolean;
  /** How often the process ended while it ran here, in a row. */
  readonly crashes: number;
  /** Calls that must never be repeated, begun and without a result. */
  readonly openIntents: readonly { readonly id: string; readonly name: string }[];
}

/** Every task of a node on its disk: what was accepted, who has it, what was done, how it ended. */
export class TaskJournal {
  readonly self: PeerId;
  readonly #database: Database;
  readonly #now: () => number;
  readonly #epoch: TaskEpoch;
  readonly limits: TaskLimits;
  readonly #counts: TaskCounts;
  readonly #conversations: TaskConversations;
  #ends = 0;
  #prunedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: TaskJournalParts) {
    this.self = parts.self;
    this.#database = parts.database;
    this.#now = parts.now;
    this.#epoch = new TaskEpoch({ now: parts.now, machine: parts.machine });
    this.limits = { ...TASK_LIMITS, ...parts.limits };
    const { database, self, sessions } = parts;
    this.#counts = new TaskCounts({ database, self, limits: this.limits });
    this.#conversations = new TaskConversations({ database, self, sessions, limits: this.limits });
  }

  /**
   * Takes a task in; resolves once it is on the disk. One that is known already, by origin and id, is a duplicate: the
   * task as it stands. A higher attempt than was seen takes a task over that has no answer yet.
   * @throws SkeinError `conflict` for the id with another content, or a lower attempt; `busy` at a bound; `invalid`,
   * `too-large`, `deadline-exceeded`, and what `Database.write` raises.
   */
  async submit(draft: TaskDraft): Promise<{ readonly task: TaskInfo; readonly duplicate: boolean }> {
    checkDraft(draft, { self: this.self, maxRequestChars: this.limits.maxRequestChars });
    const known = findRow(this.#database, draft);
    if (known === undefined && this.#counts.isFull) await this.#prune();
    const mayOpen = known === undefined || draft.attempt > known.attempt;
    using place = mayOpen ? this.#counts.reserve(senderOf(draft), { isNew: known === undefined }) : undefined;
    const accepted = await this.#database.write((writer) => acceptTask(writer, draft, this.#epoch.align(writer)));
    place?.keep(accepted);
    return { task: infoOf(accepted.row), duplicate: accepted.duplicate };
  }

  /**
   * Begins a run of an open task, for an owner. `next` begins a new attempt. The run before can write no more. The first
   * time, a task of this node gets its history, and its text goes into its conversation.
   * @throws SkeinError `not-found`, `conflict` when it has ended or is at another attempt, and the session store's.
   */
  async begin(
    info: TaskInfo,
    { owner, next = false }: { readonly owner: TaskOwner; readonly next?: boolean },
  ): Promise<BegunTask> {
    const opening = this.#conversations.opening(info);
    const nowMs = this.#now();
    const row = await this.#database.write((writer) => {
      const current = this.#openRow(writer, info);
      if (current.attempt !== info.attempt) throw lost(current);
      if (current.runs === 0) opening?.(writer, current.num);
      return updateRow(writer, current, {
        attempt: current.attempt + (next ? 1 : 0),
        state: owner === 'me' ? 'running' : 'forwarded',
        owner,
        runs: current.runs + 1,
        updatedAtMs: nowMs,
      });
    });
    const texts = readTexts(this.#database, row.num);
    return {
      task: taskOf(row, texts),
      fence: { origin: row.origin, id: row.id, attempt: row.attempt, run: row.runs },
      steps: [...(texts.given ?? []), ...entriesOf(readSteps(this.#database, row.num))],
      nextSeq: Math.min(row.runs, MAX_RUNS) * EVENTS_PER_RUN,
    };
  }

  /** Keeps a step or an intent of a run; resolves once it is on the disk. @throws SkeinError `conflict` when the run has lost the task. */
  async step(fence: Fence, step: { readonly seq: number; readonly event: TaskEvent; readonly tokens: number }): Promise<void> {
    const atMs = this.#now();
    await this.#database.write((writer) => {
      const row = this.#fenced(writer, fence);
      insertStep(writer, row.num, { ...step, attempt: row.attempt, atMs });
    });
  }

  /**
   * Ends a task: with a fence, as its run; without, from outside. What was done of a task of this node goes into its
   * conversation in the same write, unless `settle` is false. `tokens` were used by it here, at least. The task as it is then.
   * @throws SkeinError `conflict` when the run has lost the task or it has ended, `not-found`.
   */
  async finish(task: TaskRef | Fence, outcome: TaskOutcome, { tokens = 0, settle = true } = {}): Promise<TaskInfo> {
    const nowMs = this.#now();
    const { maxEnded, maxEndedAgeMs } = this.limits;
    this.#ends += 1;
    const prune = this.#ends % Math.min(PRUNE_EVERY, Math.max(1, maxEnded)) === 0;
    const { row, forgotten } = await this.#database.write((writer) => {
      const current = 'run' in task ? this.#fenced(writer, task) : this.#openRow(writer, task);
      putText(writer, current.num, 'outcome', outcome);
      const ended = updateRow(writer, current, {
        state: outcome.state,
        tokens: Math.max(outcome.tokens, tokens),
        settledSeq: settle ? this.#conversations.settle(writer, current, outcome) : current.settledSeq,
        updatedAtMs: nowMs,
      });
      return { row: ended, forgotten: prune ? pruneTasks(writer, { nowMs, maxEnded, maxEndedAgeMs }) : 0 };
    });
    this.#counts.ended(row.sender);
    this.#counts.forgotten(forgotten);
    return infoOf(row);
  }

  /** Puts a task whose run was left back into the queue; its steps stay. @throws SkeinError `conflict`. */
  async release(fence: Fence): Promise<TaskInfo> {
    const nowMs = this.#now();
    const change = { state: 'queued', crashes: 0, updatedAtMs: nowMs } as const;
    return infoOf(await this.#database.write((writer) => updateRow(writer, this.#fenced(writer, fence), change)));
  }

  /**
   * Takes an own task that failed, was canceled or ended as unknown up again, from where it was: for a person to say. A
   * call whose end is not known is given a result that says that; it is not run again by itself.
   * @throws SkeinError `not-found`, `conflict` when it has not ended or is done, `denied` for a task of another node,
   * `unsupported` when its text is no longer kept, `busy` at a bound.
   */
  async retry(ref: TaskRef, { remainingMs }: { readonly remainingMs: number }): Promise<TaskInfo> {
    if (ref.origin !== this.self) {
      throw new SkeinError(`Only its own node, ${shortPeerId(ref.origin)}, can take that task up again`, { code: 'denied' });
    }
    using place = this.#counts.reserve(ref.origin, { isNew: false });
    const row = await this.#database.write((writer) => {
      const nowMs = this.#epoch.align(writer);
      return retryTask(writer, this.#row(writer, ref), { nowMs, remainingMs });
    });
    place.keep({ open: true, known: false });
    return infoOf(row);
  }

  /** A task with all that is kept of it; undefined when it is not known. @throws SkeinError `corrupt`. */
  get(ref: TaskRef): Task | undefined {
    const row = findRow(this.#database, ref);
    return row === undefined ? undefined : taskOf(row, readTexts(this.#database, row.num));
  }

  /** A task as it is listed; undefined when it is not known. @throws SkeinError `corrupt`. */
  info(ref: TaskRef): TaskInfo | undefined {
    const row = findRow(this.#database, ref);
    return row === undefined ? undefined : infoOf(row);
  }

  /** The latest task of this id that this node handed over, whatever it said of its origin. @throws SkeinError `corrupt`. */
  handedOver(sender: PeerId, id: string): TaskInfo | undefined {
    const row = findHandedOver(this.#database, sender, id);
    return row === undefined ? undefined : infoOf(row);
  }

  /** Its durable events after a number, in order. @throws SkeinError `corrupt`. */
  steps(ref: TaskRef, { after = 0 }: { readonly after?: number } = {}): readonly TaskStep[] {
    const row = findRow(this.#database, ref);
    return row === undefined ? [] : readSteps(this.#database, row.num, after);
  }

  /** Tasks, the latest accepted first; `id` may be the beginning of one, whatever its origin. */
  list(filter: TaskFilter = {}): readonly TaskInfo[] {
    return findRows(this.#database, filter).map(infoOf);
  }

  /** This node's own open tasks in one of its conversations, the oldest first, up to 100. @throws SkeinError `corrupt`. */
  openIn(session: string): readonly TaskInfo[] {
    return findOpenIn(this.#database, session, { origin: this.self, limit: 100 }).map(infoOf);
  }

  /** How many tasks that one node handed over are open, or being written. */
  openOf(sender: PeerId): number {
    return this.#counts.openOf(sender);
  }

  /** Every open task, the oldest first, as the process before this one left it. To be called once, before any begins. */
  async recover(): Promise<readonly RecoveredTask[]> {
    const crashesOf = (row: TaskRow) => row.crashes + (row.state === 'running' ? 1 : 0);
    const rows = await this.#database.write((writer) => {
      this.#epoch.align(writer);
      const open = findOpen(writer);
      for (const row of open) if (row.state === 'running') updateRow(writer, row, { crashes: crashesOf(row) });
      return open;
    });
    return rows.map((row) => ({
      task: infoOf(row),
      begun: row.runs > 0 && row.state !== 'queued',
      crashes: crashesOf(row),
      openIntents: row.runs > 0 ? openIntents(readSteps(this.#database, row.num)) : [],
    }));
  }

  /** Tokens used since a time for tasks that each node handed over. */
  tokensSince(atMs: number): ReadonlyMap<PeerId, number> {
    return sumTokens(this.#database, atMs);
  }

  /** Makes room, also when nothing ends any more; not each time that somebody asks. */
  async #prune(): Promise<void> {
    const nowMs = this.#now();
    if (Math.abs(nowMs - this.#prunedAtMs) < PRUNE_PAUSE_MS) return;
    this.#prunedAtMs = nowMs;
    const { maxEnded, maxEndedAgeMs } = this.limits;
    this.#counts.forgotten(await this.#database.write((writer) => pruneTasks(writer, { nowMs, maxEnded, maxEndedAgeMs })));
  }

  #row(writer: Writer, ref: TaskRef): TaskRow {
    const row = findRow(writer, ref);
    if (row === undefined) throw new SkeinError(`There is no task ${ref.id} here`, { code: 'not-found' });
    return row;
  }

  #openRow(writer: Writer, ref: TaskRef): TaskRow {
    const row = this.#row(writer, ref);
    if (isFinal(row.state)) throw new SkeinError(`Task ${ref.id} has ended: it is ${row.state}`, { code: 'conflict' });
    return row;
  }

  #fenced(writer: Writer, fence: Fence): TaskRow {
    const row = this.#openRow(writer, fence);
    if (row.attempt !== fence.attempt || row.runs !== fence.run || row.state === 'queued') throw lost(row);
    return row;
  }
}

function taskOf(row: TaskRow, { request, history = [], outcome }: TaskTexts): Task {
  const { text = '', interactive = false, source } = request ?? {};
  return {
    ...infoOf(row),
    text,
    interactive,
    ...(source === undefined ? {} : { source }),
    history,
    ...(isFinal(row.state) ? { outcome: outcome ?? forgottenOutcome(row) } : {}),
  };
}

function lost(row: TaskRow): SkeinError {
  return new SkeinError(`This run of task ${row.id} has lost it: it is at attempt ${row.attempt}, run ${row.runs}`, {
    code: 'conflict',
  });
}
