import { type Placement, type PlacementContext, Slots, type TaskClock, type TaskExecutor, type TaskInfo } from '@skein/agent';
import type { VolePeer } from '@skein/dialects';
import type { Peer } from '@skein/mesh';
import type { NodeLoad, PeerId, SkeinError } from '@skein/protocol';
import type { NodeConfig } from '../../config/load-config.ts';
import type { Presence } from '../presence.ts';
import { VoleExecutor } from '../volenet/vole-executor.ts';
import { RemoteExecutor } from './remote-executor.ts';

/** Nodes a task may come through, its origin counted. */
export const PATH_MAX = 4;
/** How long a node that had no room, and did not say how long that lasts, is left alone. */
const BUSY_MS = 1_000;
/** How long a task that was with a node which left waits for it, or for another one, before it fails. */
const RETURN_MS = 30_000;
/** Tasks that one OpenVole node does at once for this one: it says neither how many it takes nor how busy it is. */
const VOLE_TASKS_MAX = 4;
/** How long one that does no tasks for this node is left alone. */
const DENIED_MS = 60_000;

export interface TaskPlacementParts {
  readonly self: PeerId;
  /** Runs tasks on this node; undefined for one without a brain. */
  readonly local: TaskExecutor | undefined;
  readonly net: () => NodeConfig['net'];
  readonly peers: () => ReadonlyMap<PeerId, Peer>;
  /** The peers that are met by VoleNet's protocol alone. */
  readonly volePeers: () => readonly VolePeer[];
  /** What this node is called. */
  readonly ownName: string;
  /** The name this node has for a key: never the one the peer gives itself. */
  readonly nameOf: (id: PeerId) => string | undefined;
  readonly presence: Presence;
  /** How busy this node is. */
  readonly load: () => NodeLoad;
  /** How many tasks a peer does for this node just now. */
  readonly forwardedTo: (peer: PeerId) => number;
  readonly clock: Pick<TaskClock, 'monotonicMs' | 'after'>;
  /** A node that had no room may have some again: tasks that wait are to be placed. */
  readonly onRoom: (inMs: number) => void;
}

/** Which brain does a task, by the configuration: this node's, one peer's, any peer's, or the least busy one. */
export class TaskPlacement implements Placement {
  readonly #parts: TaskPlacementParts;
  readonly #busyUntilMs = new Map<PeerId, number>();
  /** By OpenVole node; bounded by the keys that are trusted. */
  readonly #voleSlots = new Map<PeerId, Slots>();

  constructor(parts: TaskPlacementParts) {
    this.#parts = parts;
  }

  choose(task: TaskInfo, context: PlacementContext): TaskExecutor | undefined | 'wait' {
    const { local, net, self } = this.#parts;
    const { brainSource, brainMode, taskOverflow, maxQueuedTasks } = net();
    if (brainSource !== 'local') {
      const elsewhere = this.#remote(task, context) ?? this.#vole(task, context);
      return elsewhere ?? this.#here(context) ?? this.#later(context);
    }
    // What another node asked for is done here; it goes on only when there is no room.
    const isBalanced = brainMode === 'loadbalance' && task.origin === self;
    if (isBalanced) return this.#leastBusy(task, context) ?? this.#later(context);
    // A brain of this node that could not be reached is the end of it: what it said of that is the answer.
    if (local === undefined || context.tried.includes('me')) return undefined;
    const here = this.#here(context);
    if (here !== undefined) return here;
    const isOver = taskOverflow === 'forward' && this.#parts.load().queued > maxQueuedTasks;
    const [first] = isOver ? this.#candidates(task, context).filter(({ peer }) => this.#roomAt(peer.id) > 0) : [];
    return first === undefined ? 'wait' : this.#executor(first.peer);
  }

  /** Whether any peer would do a task that came through these nodes, now or when it has room; absent, one of this node. */
  isAnybodyWilling(path: readonly PeerId[] = [this.#parts.self]): boolean {
    const isOwn = path[0] === this.#parts.self;
    const { peers } = this.#parts;
    return [...peers().keys()].some((id) => this.#isWilling(id, { path })) || (isOwn && this.#voleWilling().length > 0);
  }

  /** How many more tasks of a sender the peers would take now that would do them, their queues included. */
  roomElsewhere(sender: PeerId): number {
    const { self, peers } = this.#parts;
    const path = sender === self ? [self] : [sender, self];
    return [...peers().keys()].filter((id) => this.#isWilling(id, { path })).reduce((sum, id) => sum + this.#roomAt(id), 0);
  }

  /** By what the peer said last; of this node's own tasks there it is known at once. */
  #roomAt(id: PeerId): number {
    const { presence, forwardedTo, clock } = this.#parts;
    if ((this.#busyUntilMs.get(id) ?? 0) > clock.monotonicMs()) return 0;
    return Math.max(0, (presence.stateOf(id)?.places ?? 0) - forwardedTo(id));
  }

  #here({ localFree, tried }: PlacementContext): TaskExecutor | undefined {
    return localFree && !tried.includes('me') ? this.#parts.local : undefined;
  }

  /** Nobody can take it just now. One that somebody had waits a while for that one, or another, to come back. */
  #later({ tried, sinceFailureMs }: PlacementContext): 'wait' | undefined {
    if (tried.length === 0) return 'wait';
    // This node does not go away and come back.
    if (tried.at(-1) === 'me') return undefined;
    const leftMs = RETURN_MS - sinceFailureMs;
    if (leftMs <= 0) return undefined;
    this.#parts.onRoom(leftMs);
    return 'wait';
  }

  #leastBusy(task: TaskInfo, context: PlacementContext): TaskExecutor | undefined {
    const { load } = this.#parts;
    const remote = this.#candidates(task, context)[0];
    const here = this.#here(context);
    if (here === undefined) return remote === undefined ? undefined : this.#executor(remote.peer);
    const { running, queued, capacity } = load();
    // The task itself is counted in neither; at equal load it stays.
    return remote !== undefined && remote.busyness < (running + queued - 1) / capacity ? this.#executor(remote.peer) : here;
  }

  #remote(task: TaskInfo, context: PlacementContext): TaskExecutor | undefined {
    const [first] = this.#candidates(task, context);
    return first === undefined ? undefined : this.#executor(first.peer);
  }

  /** The peers that would do this task and have room, the best first. */
  #candidates(task: TaskInfo, { tried }: PlacementContext): readonly { readonly peer: Peer; readonly busyness: number }[] {
    const { peers, presence, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    for (const [id, untilMs] of this.#busyUntilMs) if (untilMs <= nowMs) this.#busyUntilMs.delete(id);
    return [...peers().values()]
      .filter(({ id }) => !this.#busyUntilMs.has(id) && this.#isWilling(id, task))
      .map((peer) => ({ peer, rank: this.#rank(peer, tried), busyness: presence.busynessOf(peer.id) }))
      .sort((one, other) => one.rank - other.rank || one.busyness - other.busyness);
  }

  #isWilling(id: PeerId, task: Pick<TaskInfo, 'path'>): boolean {
    const { presence, net, nameOf } = this.#parts;
    const { brainSource } = net();
    if (task.path.includes(id) || task.path.length >= PATH_MAX) return false;
    if (brainSource !== 'local' && brainSource !== 'remote' && nameOf(id) !== brainSource) return false;
    return (presence.stateOf(id)?.brain ?? null) !== null;
  }

  /** Those that had it and were lost come last; where any peer will do, those that coordinate come first. */
  #rank(peer: Peer, tried: PlacementContext['tried']): number {
    const { net, presence } = this.#parts;
    const coordinates = net().brainSource === 'remote' && presence.stateOf(peer.id)?.role === 'coordinator';
    return (tried.includes(peer.id) ? 2 : 0) + (coordinates ? 0 : 1);
  }

  /** An OpenVole node for an own task. It tells nobody for whom it works, so it gets none that is another node's. */
  #vole(task: TaskInfo, { tried }: PlacementContext): TaskExecutor | undefined {
    const { self, ownName: fromName } = this.#parts;
    if (task.origin !== self) return undefined;
    const willing = this.#voleWilling().filter(({ id }) => !tried.includes(id));
    const peer = willing.find(({ id }) => id === task.owner) ?? willing[0];
    if (peer === undefined) return undefined;
    const { id } = peer;
    const slots = this.#voleSlots.get(id) ?? new Slots(VOLE_TASKS_MAX);
    this.#voleSlots.set(id, slots);
    const onDenied = () => this.#leaveAlone(id, DENIED_MS);
    return new VoleExecutor({ peer, fromName, slots, hadIt: task.owner === id, onDenied });
  }

  /** Those whose brain the configuration means. Whether they let this node use it, they say only when they are asked to. */
  #voleWilling(): readonly VolePeer[] {
    const { volePeers, nameOf, net, clock } = this.#parts;
    const { brainSource } = net();
    if (brainSource === 'local') return [];
    const nowMs = clock.monotonicMs();
    return volePeers().filter(
      ({ id }) => (brainSource === 'remote' || nameOf(id) === brainSource) && (this.#busyUntilMs.get(id) ?? nowMs) <= nowMs,
    );
  }

  #executor(peer: Peer): TaskExecutor {
    const { self, clock } = this.#parts;
    const after = (ms: number, fire: () => void) => clock.after(ms, fire);
    return new RemoteExecutor({ self, peer, after, onBusy: (error) => this.#busy(peer.id, error) });
  }

  #busy(id: PeerId, { retryAfterMs = BUSY_MS }: SkeinError): void {
    this.#leaveAlone(id, retryAfterMs);
  }

  #leaveAlone(id: PeerId, ms: number): void {
    this.#busyUntilMs.set(id, this.#parts.clock.monotonicMs() + ms);
    this.#parts.onRoom(ms);
  }
}
