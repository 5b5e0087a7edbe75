import type { ConversationEntry, ErrorCode, PeerId, TaskEvent, TaskOutcome, TaskPriority, TaskState } from '@skein/protocol';
import type { Brain } from '../brain/brain.ts';

/** Names a task: its origin, and its id there. */
export interface TaskRef {
  /** The node that a person or program asked; this node's own id for its own tasks. */
  readonly origin: PeerId;
  /** A UUID, made by the origin. */
  readonly id: string;
}

/** Who does a task's work just now: this node, or another. */
export type TaskOwner = 'me' | PeerId;

/** A request to become a task. */
export interface TaskDraft extends TaskRef {
  /** From 1; grows with each node the task is given to anew. */
  readonly attempt: number;
  readonly text: string;
  readonly session: string;
  readonly priority: TaskPriority;
  /** Somebody at the origin can answer a `confirm-request`. */
  readonly interactive: boolean;
  /** Where the text is from, when that is outside the origin. */
  readonly source?: string;
  /** The conversation before it; for a task of this node it is left empty and taken from the session as the task begins. */
  readonly history: readonly ConversationEntry[];
  /** What was done of it already, elsewhere: it goes on from there. */
  readonly steps: readonly ConversationEntry[];
  /**
   * The nodes it came through, the origin first; this node's own tasks: only itself. Whoever takes it from the wire has
   * checked that the last one is the peer that sent it.
   */
  readonly path: readonly PeerId[];
  /** How long it may take from now on, all waiting included. */
  readonly remainingMs: number;
}

/** A task as it is listed: what it is and how it stands. */
export interface TaskInfo extends TaskRef {
  readonly attempt: number;
  readonly state: TaskState;
  readonly owner: TaskOwner;
  readonly session: string;
  readonly priority: TaskPriority;
  readonly acceptedAtMs: number;
  readonly updatedAtMs: number;
  readonly deadlineAtMs: number;
  /** Tokens that the brain of this node reported for it so far; for one that ended, those of its outcome. */
  readonly tokens: number;
  /** The first line of its text, as far as a list shows it. */
  readonly title: string;
  /** The nodes it came through, the origin first. */
  readonly path: readonly PeerId[];
  /** Who handed it over: the one whose key was proven, so the one that what it costs is counted for. */
  readonly sender: PeerId;
}

/** A task with what it takes to run it. Once it has ended and its text is no longer kept, that is empty. */
export interface Task extends TaskInfo {
  readonly text: string;
  readonly interactive: boolean;
  readonly source?: string;
  readonly history: readonly ConversationEntry[];
  /** Set when it has ended. */
  readonly outcome?: TaskOutcome;
}

/** One event of a task. `seq` only grows, over restarts too, and has gaps. */
export interface WatchedEvent {
  readonly seq: number;
  readonly event: TaskEvent;
}

/** A durable event: a `step` or an `intent`. */
export interface TaskStep extends WatchedEvent {
  /** Under which attempt it was made. */
  readonly attempt: number;
  readonly atMs: number;
}

/** What an executor is given beside the task. */
export interface ExecutorContext {
  /**
   * Tells what happens, in order. For `step` and `intent` it resolves once that is on the disk; the others are passed on
   * to whoever watches. @throws SkeinError `conflict` once the task was given to another, and what the database raises.
   */
  emit(event: TaskEvent): Promise<void>;
  /** A brain of this node, for this task: what it uses is counted, and bounded for tasks of other nodes. */
  meter(brain: Brain): Brain;
  /** Fires when the task was canceled, ran out of time, was taken over, or the node stops. */
  readonly signal: AbortSignal;
  /** What was done of it before, after its own text: it goes on from there. */
  readonly steps: readonly ConversationEntry[];
  /** The time it has left. */
  readonly remainingMs: number;
}

/** Runs tasks: here with an agent, or on another node. */
export interface TaskExecutor {
  readonly owner: TaskOwner;
  /**
   * Runs a task to its end. What it throws ends the task as `failed` with that code; with `unavailable`, an own task goes
   * to another executor, and that of another node back to it; with `busy`, which only another node's executor throws that
   * has not taken the task, an own task waits on. It ends soon after the signal fires: it is not waited for.
   */
  run(task: Task, context: ExecutorContext): Promise<TaskOutcome>;
  /** A person's answer to a `confirm-request` that it told; false when nothing waits for it. */
  confirm?(task: Task, id: string, approve: boolean): Promise<boolean>;
}

/** What a choice of executor may be made by. */
export interface PlacementContext {
  /** Who had it in this life of the process and failed as `unavailable`. */
  readonly tried: readonly TaskOwner[];
  /** How long ago the last of them failed; 0 when nobody had it. */
  readonly sinceFailureMs: number;
  /** A task can begin on this node now; otherwise only another node may be chosen. */
  readonly localFree: boolean;
}

/**
 * Decides who runs a task. `'wait'`: nobody can take it just now; it stays queued and is asked about again after
 * something changed (`TaskRunner.wake`). `undefined`: nobody is left to try; a task that somebody had ends with what that
 * one failed with, one that nobody had waits like `'wait'`.
 *
 * A task of another owner than `'me'` was with that node before this one restarted: that node may still run it, and is
 * the one to choose. Choosing somebody else gives it away anew, under the next attempt.
 */
export interface Placement {
  choose(task: TaskInfo, context: PlacementContext): TaskExecutor | undefined | 'wait';
}

/** Time, as a part. The mesh's `systemClock` is one. */
export interface TaskClock {
  now(): number;
  monotonicMs(): number;
  /** The returned function takes it back. */
  after(ms: number, fire: () => void): () => void;
}

/** True for a task that will not run any more, unless a person says so. */
export function isFinal(state: TaskState): state is TaskOutcome['state'] {
  return state !== 'queued' && state !== 'running' && state !== 'forwarded';
}

/** A task that ended without an answer. */
export function failedOutcome(
  state: 'failed' | 'canceled' | 'unknown',
  error: { readonly code: ErrorCode; readonly message: string },
  tokens = 0,
): TaskOutcome {
  return { state, toolCalls: [], error: { code: error.code, message: error.message.slice(0, 4_000) }, tokens };
}
