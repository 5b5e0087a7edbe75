import type { PeerId, SkeinError, TaskPriority } from '@skein/protocol';
import type { TaskInfo, TaskOwner, TaskRef } from './task.ts';

/** How long a task waits until it counts as one of the next higher priority. */
const AGING_MS = 60_000;
const RANKS: Readonly<Record<TaskPriority, number>> = { urgent: 0, normal: 1, low: 2 };

/** A task that waits, or runs. */
export interface QueuedTask {
  readonly key: string;
  readonly info: TaskInfo;
  /** Grows with each task taken in; one that comes back keeps its place. */
  readonly place: number;
  /** On the monotonic clock. */
  readonly sinceMs: number;
  readonly deadlineMs: number;
  /** Who has begun it; undefined when nobody has. */
  readonly begunBy: TaskOwner | undefined;
  /** Who had it and could not be reached, and what the last of them failed with. */
  readonly tried: readonly TaskOwner[];
  readonly failure: SkeinError | undefined;
  /** When it did, on the monotonic clock. */
  readonly failedMs: number | undefined;
}

interface Lane {
  readonly waiting: QueuedTask[];
  running: boolean;
  /** The head, while it stands among the ready ones of its sender. */
  ready: QueuedTask | undefined;
}

interface Sender {
  running: number;
  /** How many were taken of it, counted from where the others were when it came. */
  served: number;
  readonly ready: Readonly<Record<TaskPriority, QueuedTask[]>>;
}

/**
 * The tasks that wait, in the order they are to be taken. First the senders that have a place, of those the one with the
 * fewest running, then the one of which fewer were taken, so nobody who hands over many keeps the others waiting; of one sender, the higher priority, where
 * waiting raises it; then the older. Of one conversation, one at a time, in order.
 */
export class TaskQueue {
  readonly #lanes = new Map<string, Lane>();
  readonly #senders = new Map<PeerId, Sender>();
  readonly #waiting = new Map<string, QueuedTask>();
  readonly #waitingOf = new Map<PeerId, number>();
  #served = 0;

  /** Tasks that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  get(key: string): QueuedTask | undefined {
    return this.#waiting.get(key);
  }

  all(): IterableIterator<QueuedTask> {
    return this.#waiting.values();
  }

  /** How many of one sender wait. */
  waitingOf(sender: PeerId): number {
    return this.#waitingOf.get(sender) ?? 0;
  }

  add(task: QueuedTask): void {
    this.#waiting.set(task.key, task);
    this.#count(task.info.sender, 1);
    const lane = this.#lanes.get(laneOf(task.info)) ?? { waiting: [], running: false, ready: undefined };
    this.#lanes.set(laneOf(task.info), lane);
    insert(lane.waiting, task);
    this.#refresh(lane);
  }

  /** Takes out one that waits; undefined when it does not. */
  remove(key: string): QueuedTask | undefined {
    const task = this.#waiting.get(key);
    const lane = task === undefined ? undefined : this.#lanes.get(laneOf(task.info));
    if (task === undefined || lane === undefined) return undefined;
    this.#waiting.delete(key);
    this.#count(task.info.sender, -1);
    drop(lane.waiting, task);
    this.#refresh(lane);
    this.#forget(task.info, lane);
    return task;
  }

  /** The one to take next, of those not to be skipped; it stays here. */
  next(skip: ReadonlySet<string>, nowMs: number, hasPlace: (sender: PeerId) => boolean = () => true): QueuedTask | undefined {
    let best: { readonly task: QueuedTask; readonly order: readonly number[] } | undefined;
    for (const [id, sender] of this.#senders) {
      const later = hasPlace(id) ? 0 : 1;
      for (const ready of Object.values(sender.ready)) {
        const task = ready.find(({ key }) => !skip.has(key));
        if (task === undefined) continue;
        const order = [later, sender.running, sender.served, rankOf(task, nowMs), task.place];
        if (best === undefined || before(order, best.order)) best = { task, order };
      }
    }
    return best?.task;
  }

  /** Takes out one that begins: until `done`, no other of its conversation does. */
  take(task: QueuedTask): void {
    const lane = this.#lanes.get(laneOf(task.info));
    const sender = this.#senders.get(task.info.sender);
    if (lane === undefined || sender === undefined) return;
    this.#waiting.delete(task.key);
    this.#count(task.info.sender, -1);
    drop(lane.waiting, task);
    lane.running = true;
    sender.running += 1;
    sender.served += 1;
    this.#served = Math.max(this.#served, sender.served - 1);
    this.#refresh(lane);
  }

  /** One that was taken no longer runs. */
  done(task: QueuedTask): void {
    const lane = this.#lanes.get(laneOf(task.info));
    const sender = this.#senders.get(task.info.sender);
    if (lane === undefined || sender === undefined) return;
    lane.running = false;
    sender.running -= 1;
    this.#refresh(lane);
    this.#forget(task.info, lane);
  }

  #count(sender: PeerId, change: number): void {
    const waiting = this.waitingOf(sender) + change;
    if (waiting > 0) this.#waitingOf.set(sender, waiting);
    else this.#waitingOf.delete(sender);
  }

  /** Puts the head of a conversation among the ready ones, when none of it runs. */
  #refresh(lane: Lane): void {
    const head = lane.running ? undefined : lane.waiting[0];
    if (head === lane.ready) return;
    if (lane.ready !== undefined) drop(this.#sender(lane.ready.info.sender).ready[lane.ready.info.priority], lane.ready);
    if (head !== undefined) insert(this.#sender(head.info.sender).ready[head.info.priority], head);
    lane.ready = head;
  }

  #sender(id: PeerId): Sender {
    const known = this.#senders.get(id);
    if (known !== undefined) return known;
    const sender: Sender = { running: 0, served: this.#served, ready: { urgent: [], normal: [], low: [] } };
    this.#senders.set(id, sender);
    return sender;
  }

  #forget(info: TaskInfo, lane: Lane): void {
    if (lane.waiting.length === 0 && !lane.running) this.#lanes.delete(laneOf(info));
    const sender = this.#senders.get(info.sender);
    if (sender === undefined || sender.running > 0) return;
    if (Object.values(sender.ready).every((ready) => ready.length === 0)) this.#senders.delete(info.sender);
  }
}

/** A task's name in one text. */
export function keyOf({ origin, id }: TaskRef): string {
  return `${origin}/${id}`;
}

/** An origin that is only claimed must not hold up the conversation of the one it names. */
function laneOf({ origin, sender, session }: TaskInfo): string {
  return `${origin}/${sender}/${session}`;
}

function rankOf({ info, sinceMs }: QueuedTask, nowMs: number): number {
  return Math.max(0, RANKS[info.priority] - Math.floor((nowMs - sinceMs) / AGING_MS));
}

function before(left: readonly number[], right: readonly number[]): boolean {
  const differing = left.findIndex((value, index) => value !== right[index]);
  return (left[differing] ?? 0) < (right[differing] ?? 0);
}

/** Into a list that is in the order of places: near its end, as a rule. */
function insert(list: QueuedTask[], task: QueuedTask): void {
  let at = list.length;
  while (at > 0 && (list[at - 1]?.place ?? 0) > task.place) at -= 1;
  list.splice(at, 0, task);
}

function drop(list: QueuedTask[], task: QueuedTask): void {
  const at = list.indexOf(task);
  if (at !== -1) list.splice(at, 1);
}
