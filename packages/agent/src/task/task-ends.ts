import { SkeinError, type TaskOutcome } from '@skein/protocol';
import { failedOutcome, isFinal, type TaskClock, type TaskInfo, type TaskRef, type WatchedEvent } from './task.ts';
import { TaskFeed } from './task-feed.ts';
import type { Fence, TaskJournal } from './task-journal.ts';
import { keyOf } from './task-queue.ts';

/** Tries to write the end of a task to a disk that refuses. */
const MAX_TRIES = 5;
const PAUSE_MS = 1_000;

export interface TaskEndsParts {
  readonly journal: TaskJournal;
  readonly clock: TaskClock;
  readonly onEnded: ((task: TaskInfo) => void) | undefined;
  readonly onError: ((error: SkeinError) => void) | undefined;
}

/** Who watches which task, and how they and the journal learn of its end. */
export class TaskEnds {
  readonly #parts: TaskEndsParts;
  /** Of open tasks that run or are watched. */
  readonly #feeds = new Map<string, TaskFeed>();
  #stopped: SkeinError | undefined;

  constructor(parts: TaskEndsParts) {
    this.#parts = parts;
  }

  /** What a task tells; of one that has ended, its outcome alone. @throws SkeinError `not-found`. */
  feedOf(ref: TaskRef): TaskFeed {
    const key = keyOf(ref);
    const known = this.#feeds.get(key);
    if (known !== undefined) return known;
    const feed = new TaskFeed();
    const { state } = this.known(ref);
    const outcome = isFinal(state) ? this.#parts.journal.get(ref)?.outcome : undefined;
    if (outcome !== undefined) feed.end(outcome);
    else if (this.#stopped !== undefined) feed.fail(this.#stopped);
    else this.#feeds.set(key, feed);
    return feed;
  }

  /** For `TaskRunner.watch`. */
  async *watch(
    ref: TaskRef,
    { after = 0, signal }: { readonly after?: number; readonly signal: AbortSignal },
  ): AsyncGenerator<WatchedEvent, TaskOutcome, void> {
    const feed = this.feedOf(ref);
    let at = after;
    for (;;) {
      if (at + 1 < feed.floor) {
        for (const { seq, event } of this.#parts.journal.steps(ref, { after: at })) {
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

  /** For `TaskRunner.outcome`. */
  async outcome(ref: TaskRef, { signal }: { readonly signal: AbortSignal }): Promise<TaskOutcome> {
    const feed = this.feedOf(ref);
    while (feed.outcome === undefined) await feed.changed(signal);
    return feed.outcome;
  }

  /** @throws SkeinError `not-found`. */
  known(ref: TaskRef): TaskInfo {
    const task = this.#parts.journal.info(ref);
    if (task === undefined) throw new SkeinError(`There is no task ${ref.id} here`, { code: 'not-found' });
    return task;
  }

  /** Writes a task's end and tells it; tries again for a while when the disk refuses. Never rejects. */
  async finish(task: TaskRef | Fence, outcome: TaskOutcome, tokens = 0): Promise<void> {
    let end = outcome;
    let settle = true;
    for (let tries = 1; ; tries += 1) {
      let ended: TaskInfo;
      try {
        ended = await this.#parts.journal.finish(task, end, { tokens, settle });
      } catch (thrown) {
        const error = SkeinError.from(thrown);
        // Somebody else has ended it, or has it now.
        if (error.code === 'conflict') return;
        this.#parts.onError?.(error);
        if (tries >= MAX_TRIES || this.#stopped !== undefined) {
          this.#take(task)?.fail(error);
          return;
        }
        // Busy is also what a store of conversations is that is full, and that does not pass by itself.
        if (error.code === 'busy' ? tries === MAX_TRIES - 1 : error.code !== 'unavailable') {
          // Its conversation cannot take it: then it ends without.
          settle = false;
          end = failedOutcome('failed', error, outcome.tokens);
        }
        await this.#pause();
        continue;
      }
      this.#take(task)?.end(end);
      this.#parts.onEnded?.(ended);
      return;
    }
  }

  /**
   * Puts a task back into the queue; tries again for a while when the disk refuses.
   * @throws SkeinError as `TaskJournal.release`, and what the last try failed with.
   */
  async release(fence: Fence): Promise<TaskInfo> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#parts.journal.release(fence);
      } catch (thrown) {
        const error = SkeinError.from(thrown);
        if (error.code === 'conflict' || tries >= MAX_TRIES || this.#stopped !== undefined) throw error;
        this.#parts.onError?.(error);
        await this.#pause();
      }
    }
  }

  /** A task goes on with the next start only: those who watch it are told why. */
  leave(ref: TaskRef, error: SkeinError): void {
    this.#take(ref)?.fail(error);
  }

  /** Nothing ends any more: those who watch are told so. */
  stop(error: SkeinError): void {
    this.#stopped = error;
    for (const feed of this.#feeds.values()) feed.fail(error);
    this.#feeds.clear();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.after(PAUSE_MS, resolve));
  }

  #take(ref: TaskRef): TaskFeed | undefined {
    const feed = this.#feeds.get(keyOf(ref));
    this.#feeds.delete(keyOf(ref));
    return feed;
  }
}
