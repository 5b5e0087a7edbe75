import type { SkeinError, TaskEvent, TaskOutcome } from '@skein/protocol';
import { untilAborted } from '../turn/waiting.ts';
import type { WatchedEvent } from './task.ts';

/** What is kept for watchers of one task that are behind: the oldest goes first. Its steps are in the journal as well. */
const MAX_EVENTS = 8_192;
const MAX_CHARS = 2_000_000;

/** The live events of one open task, for as many watchers as like to know; each keeps its own place. */
export class TaskFeed {
  #events: WatchedEvent[] = [];
  #chars = 0;
  #last = 0;
  #changed = Promise.withResolvers<void>();
  #outcome: TaskOutcome | undefined;
  #failure: SkeinError | undefined;

  /** Up to where events are no longer here: those before it are looked up in the journal. */
  get floor(): number {
    return this.#events[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  get outcome(): TaskOutcome | undefined {
    return this.#outcome;
  }

  push(event: WatchedEvent): void {
    this.#events.push(event);
    this.#last = event.seq;
    this.#chars += charsOf(event.event);
    if (this.#events.length > MAX_EVENTS || this.#chars > MAX_CHARS) this.#drop();
    this.#wake();
  }

  /** Ends what watchers wait for with an error: the task goes on another time. */
  fail(error: SkeinError): void {
    this.#failure = error;
    this.#wake();
  }

  end(outcome: TaskOutcome): void {
    this.#outcome ??= outcome;
    this.#wake();
  }

  /** The next event after a number; undefined when there is none yet. */
  next(after: number): WatchedEvent | undefined {
    if (this.#last <= after) return undefined;
    // By halves: a slow watcher of a long answer looks often.
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle]?.seq ?? 0) > after) high = middle;
      else low = middle + 1;
    }
    return this.#events[low];
  }

  /** Resolves with the next event or the end. @throws SkeinError what it failed with, or the signal's reason. */
  async changed(signal: AbortSignal): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await untilAborted(this.#changed.promise, signal);
  }

  /** A quarter at once, so that a flood does not move the whole list for each event. */
  #drop(): void {
    const count = Math.ceil(this.#events.length / 4);
    for (const { event } of this.#events.splice(0, count)) this.#chars -= charsOf(event);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function charsOf(event: TaskEvent): number {
  switch (event.type) {
    case 'text-delta':
      return event.text.length;
    case 'tool-output':
      return event.delta.length;
    case 'turn-start':
    case 'intent':
      return 100;
    case 'tool-call':
    case 'tool-result':
    case 'confirm-request':
    case 'step':
      return JSON.stringify(event).length;
  }
}
