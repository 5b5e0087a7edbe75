import {
  isFinal,
  type NamedTool,
  type Task,
  type TaskInfo,
  type TaskJournal,
  type TaskRef,
  type TaskRunner,
} from '@skein/agent';
import type { Router } from '@skein/mesh';
import { type PeerId, SkeinError, tasksAcknowledge, tasksCancel, tasksConfirm, tasksSubmit, tasksWatch } from '@skein/protocol';
import { PATH_MAX } from './placement.ts';

/** Tasks of one peer that are looked through when it leaves: as many as it can have open. */
const OPEN_PER_PEER_MAX = 1_000;
/** Words of one peer that came before anybody waited for them; beyond, the oldest is forgotten, and its call waits. */
const EARLY_PER_PEER_MAX = 256;
const GONE = new SkeinError('The node that handed it over left', { code: 'unavailable' });

export interface ServedTasksParts {
  readonly self: PeerId;
  readonly router: Router;
  readonly runner: TaskRunner;
  readonly journal: TaskJournal;
  /** The keys whose place this peer's has taken, and takes over what they handed over. */
  readonly formerOf: (peer: PeerId) => readonly PeerId[];
  /** Puts one key in the place of others, in the journal. */
  readonly adopt: (keys: { readonly from: readonly PeerId[]; readonly to: PeerId }) => Promise<unknown>;
  /** Holds a place for a task until it is taken in. @throws SkeinError `busy` when no more of this sender may wait. */
  readonly admit: (sender: PeerId) => Disposable;
}

/** Does tasks for peers that were granted the brain. What it is about to do for them that cannot be undone, they know first. */
export class ServedTasks {
  readonly #parts: ServedTasksParts;
  /** What waits for a sender's word that it has the intent, by task and call: no more than calls that run. */
  readonly #announced = new Map<string, PromiseWithResolvers<void>>();
  readonly #early = new Map<PeerId, Set<string>>();
  /** Of those who watch, by task: no more than calls that run. */
  readonly #watching = new Map<string, Set<AbortSignal>>();

  constructor(parts: ServedTasksParts) {
    this.#parts = parts;
    const { router, runner, journal, admit, self } = parts;
    router.serve(tasksSubmit, async ({ task: id, path, ...draft }, { peer, signal }) => {
      if (path.at(-1) !== peer.id) {
        throw new SkeinError('The path of a task ends with the node that hands it over', { code: 'denied' });
      }
      if (path.includes(self))
        throw new SkeinError('This task came through here before: it goes in a circle', { code: 'denied' });
      if (path.length > PATH_MAX) {
        throw new SkeinError(`This task came through ${path.length} nodes; ${PATH_MAX} are the most`, { code: 'denied' });
      }
      await this.#adoptFormer(peer.id);
      const [origin = peer.id] = path;
      this.#assertNotOthers({ origin, id }, peer.id);
      using _place = begins(journal.info({ origin, id }), draft.attempt) ? admit(peer.id) : undefined;
      const { source, ...rest } = draft;
      const whole = { ...rest, ...(source === undefined ? {} : { source }), origin, id, path };
      const { task, duplicate } = await runner.submit(whole);
      // Its sender left or gave it up while it was written: nobody was told that it is accepted, and nobody asks for it.
      if (signal.aborted && !duplicate) return { state: await runner.cancel(task, GONE) };
      return { state: task.state };
    });
    router.serve(tasksWatch, async ({ task, after }, context) => {
      const ref = this.#find(task, context.peer.id);
      const { signal } = context;
      using _watched = this.#watched(ref, signal);
      const events = runner.watch(ref, { after, signal });
      for (;;) {
        const next = await events.next();
        if (next.done === true) return next.value;
        await context.emit(next.value);
      }
    });
    router.serve(tasksCancel, async ({ task }, { peer }) => ({ state: await runner.cancel(this.#find(task, peer.id)) }));
    router.serve(tasksConfirm, async ({ task, id, approve }, { peer }) => ({
      waiting: await runner.confirm(this.#find(task, peer.id), id, approve),
    }));
    router.serve(tasksAcknowledge, ({ task, id }, { peer }) => {
      this.#acknowledged(announcement(this.#find(task, peer.id), id), peer.id);
      return {};
    });
  }

  /** Waits until whoever handed the task over has said that it knows of this call. For `TaskRunnerParts.announce`. */
  async announce(task: Task, call: { readonly id: string }, signal: AbortSignal): Promise<void> {
    const key = announcement(task, call.id);
    if (this.#early.get(task.sender)?.delete(key) === true) return;
    const waiting = this.#announced.get(key) ?? Promise.withResolvers<void>();
    this.#announced.set(key, waiting);
    const stop = () => waiting.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (signal.aborted) stop();
      await waiting.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#announced.delete(key);
    }
  }

  /** A peer left: it gives what it had handed over to somebody else, so nothing of that goes on here. */
  async left(peer: PeerId): Promise<void> {
    if (peer === this.#parts.self) return;
    this.#early.delete(peer);
    await this.#end(this.#openOf(peer));
  }

  /** A new session took the place of one that ended unseen, if there was one: as `left`, but for what is watched yet. */
  async joined(peer: PeerId): Promise<void> {
    const isWatched = (task: TaskInfo) => [...(this.#watching.get(keyOf(task)) ?? [])].some(({ aborted }) => !aborted);
    await this.#end(this.#openOf(peer).filter((task) => !isWatched(task)));
  }

  #openOf(sender: PeerId): readonly TaskInfo[] {
    return (['queued', 'running', 'forwarded'] as const).flatMap((state) =>
      this.#parts.journal.list({ state, sender, limit: OPEN_PER_PEER_MAX }),
    );
  }

  async #end(tasks: readonly TaskInfo[]): Promise<void> {
    await Promise.all(tasks.map((task) => this.#parts.runner.cancel(task, GONE)));
  }

  #watched(task: TaskInfo, signal: AbortSignal): Disposable {
    const signals = this.#watching.get(keyOf(task)) ?? new Set();
    this.#watching.set(keyOf(task), signals.add(signal));
    return {
      [Symbol.dispose]: () => {
        signals.delete(signal);
        if (signals.size === 0) this.#watching.delete(keyOf(task));
      },
    };
  }

  /** A peer with another key is the same node: what it had handed over is of that key from then on, and goes on as it says. */
  async #adoptFormer(peer: PeerId): Promise<void> {
    const former = this.#parts.formerOf(peer);
    if (former.length === 0) return;
    for (const id of former) await this.left(id);
    await this.#parts.adopt({ from: former, to: peer });
  }

  /** The word may come before anybody waits for it. */
  #acknowledged(key: string, peer: PeerId): void {
    const waiting = this.#announced.get(key);
    if (waiting !== undefined) {
      waiting.resolve();
      return;
    }
    const early = this.#early.get(peer) ?? new Set();
    this.#early.set(peer, early.add(key));
    const [oldest] = early;
    if (early.size > EARLY_PER_PEER_MAX && oldest !== undefined) early.delete(oldest);
  }

  /** The task of this id that this peer handed over. @throws SkeinError `not-found`. */
  #find(id: string, peer: PeerId): TaskInfo {
    const found = this.#parts.journal.handedOver(peer, id);
    if (found === undefined) throw new SkeinError(`There is no task ${id} of yours here`, { code: 'not-found' });
    return found;
  }

  /** A task that one peer handed over is not another's to take over, whatever it says of its origin. */
  #assertNotOthers(ref: TaskRef, peer: PeerId): void {
    const known = this.#parts.journal.info(ref);
    if (known === undefined || known.sender === peer) return;
    throw new SkeinError(`Task ${ref.id} was handed over by another node`, { code: 'conflict' });
  }
}

export interface TaskGrants {
  readonly self: PeerId;
  /** Whether a peer may use a grant and, for `tools`, one of this node's tools. */
  readonly isAllowed: (peer: PeerId, grant: 'tools' | 'memory-read' | 'memory-write', tool?: string) => boolean;
  /** Peers that cannot be told for whom a call is made, so this node must judge for them. */
  readonly isForeign: (peer: string) => boolean;
}

/** What the memory tools need, which are no peer's to call but do for one what it may do itself. */
const MEMORY_GRANTS: Readonly<Record<string, 'memory-read' | 'memory-write'>> = {
  memory_search: 'memory-read',
  memory_write: 'memory-write',
  memory_forget: 'memory-write',
};

/** Whether a task may use a tool: everybody it came through must be allowed it too. Another node's own tools it judges itself. */
export function mayUseFor({ self, isAllowed, isForeign }: TaskGrants): (task: TaskInfo, named: NamedTool) => boolean {
  return ({ path }, { tool }) => {
    if (tool.peer !== undefined && !isForeign(tool.peer.id)) return true;
    const { name } = tool.descriptor;
    const memory = tool.peer === undefined && Object.hasOwn(MEMORY_GRANTS, name) ? MEMORY_GRANTS[name] : undefined;
    return path.every((id) => id === self || (memory === undefined ? isAllowed(id, 'tools', name) : isAllowed(id, memory)));
  };
}

/** Whether a task that is handed over has a place to be found for it: not one that is here already, nor one with an answer. */
function begins(known: TaskInfo | undefined, attempt: number): boolean {
  return known === undefined || (isFinal(known.state) && known.state !== 'done' && attempt > known.attempt);
}

function announcement(task: TaskInfo, call: string): string {
  return `${keyOf(task)}/${call}`;
}

function keyOf({ origin, id, attempt }: TaskInfo): string {
  return `${origin}/${id}/${attempt}`;
}
