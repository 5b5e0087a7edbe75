import { type Database, integerOf, textOf } from '@skein/engine';
import { type PeerId, parsePeerId, SkeinError, shortPeerId } from '@skein/protocol';
import type { TaskLimits } from './task-limits.ts';

/** SQL: the task will not run any more. */
export const ENDED = "state NOT IN ('queued', 'running', 'forwarded')";
/** SQL: it will. */
export const OPEN = "state IN ('queued', 'running', 'forwarded')";

/** Holds a place for a task while it is written. */
export interface Reservation {
  /** It was written, as one more of these; without, the place is given back. */
  keep(kept: { readonly open: boolean; readonly known: boolean }): void;
  [Symbol.dispose](): void;
}

/** How many tasks are open, in all and by who handed them over, and known: kept in memory, as one process owns the file. */
export class TaskCounts {
  readonly #self: PeerId;
  readonly #limits: TaskLimits;
  readonly #open = new Map<PeerId, number>();
  #openInAll = 0;
  #known: number;

  constructor(parts: { readonly database: Database; readonly self: PeerId; readonly limits: TaskLimits }) {
    this.#self = parts.self;
    this.#limits = parts.limits;
    for (const row of parts.database.all(`SELECT sender, count(*) AS open FROM tasks WHERE ${OPEN} GROUP BY sender`)) {
      this.#change(parsePeerId(textOf(row, 'sender')), integerOf(row, 'open'));
    }
    const known = parts.database.get('SELECT count(*) AS known FROM tasks');
    this.#known = known === undefined ? 0 : integerOf(known, 'known');
  }

  /** No more tasks can be known. */
  get isFull(): boolean {
    return this.#known >= this.#limits.maxKnown;
  }

  /** @throws SkeinError `busy` at a bound. */
  reserve(sender: PeerId, { isNew }: { readonly isNew: boolean }): Reservation {
    const { maxOpen, maxOpenPerSender } = this.#limits;
    const ofSender = this.#open.get(sender) ?? 0;
    // Its own tasks find a place however many others have handed it.
    const own = sender === this.#self;
    const inAll = own ? ofSender : this.#openInAll - (this.#open.get(this.#self) ?? 0);
    if (inAll >= maxOpen) throw busy(`${inAll} tasks wait or run here`);
    if (!own && ofSender >= maxOpenPerSender) throw busy(`${ofSender} tasks of ${shortPeerId(sender)} wait or run here`);
    if (isNew && this.isFull) throw busy(`${this.#known} tasks are remembered here`);
    this.#change(sender, 1);
    this.#known += isNew ? 1 : 0;
    let given = { open: false, known: false };
    return {
      keep: (kept) => {
        given = kept;
      },
      [Symbol.dispose]: () => {
        if (!given.open) this.#change(sender, -1);
        this.#known += Number(given.known) - Number(isNew);
      },
    };
  }

  /** Open tasks that one node handed over, those counted that are being written. */
  openOf(sender: PeerId): number {
    return this.#open.get(sender) ?? 0;
  }

  /** A task has ended. */
  ended(sender: PeerId): void {
    this.#change(sender, -1);
  }

  /** So many tasks are no longer known. */
  forgotten(count: number): void {
    this.#known -= count;
  }

  #change(sender: PeerId, change: number): void {
    this.#openInAll += change;
    const open = (this.#open.get(sender) ?? 0) + change;
    if (open > 0) this.#open.set(sender, open);
    else this.#open.delete(sender);
  }
}

function busy(what: string): SkeinError {
  return new SkeinError(`${what} already: try again later`, { code: 'busy', retryAfterMs: 1_000 });
}
