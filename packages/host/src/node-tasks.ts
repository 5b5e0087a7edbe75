import { randomUUID } from 'node:crypto';
import {
  type Agent,
  adoptTasks,
  checkRequestText,
  LocalExecutor,
  Scope,
  type TaskInfo,
  TaskJournal,
  type TaskRef,
  TaskRunner,
  untilAborted,
} from '@skein/agent';
import type { VolePeer } from '@skein/dialects';
import type { GatewayBackend, TaskDetail, TaskSummary, TurnEvent } from '@skein/gateway';
import { systemClock } from '@skein/mesh';
import {
  abortReason,
  type NodeLoad,
  type PeerId,
  SkeinError,
  type TaskOutcome,
  type TaskPriority,
  type TaskState,
} from '@skein/protocol';
import type { Logger } from 'pino';
import type { NodeConfig } from './config/load-config.ts';
import { TaskAdmission } from './features/delegation/admission.ts';
import { nobodyWilling } from './features/delegation/nobody-willing.ts';
import { TaskPlacement } from './features/delegation/placement.ts';
import { mayUseFor, ServedTasks } from './features/delegation/served-tasks.ts';
import { TaskRegister } from './features/delegation/task-register.ts';
import { ToldTasks } from './features/delegation/told-tasks.ts';
import type { OwnTurn } from './features/volenet/vole-turns.ts';
import { machineClock } from './machine-clock.ts';
import type { NodeFiles } from './node-files.ts';
import type { NodeNetwork } from './node-network.ts';

/** How long one who asks waits for a peer that would do it. */
const WILLING_MS = 5_000;

export interface NodeTasksParts {
  readonly config: NodeConfig;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  /** How long a task has that begins here now: `agent.turnTimeoutMs`. */
  readonly turnTimeoutMs: () => number;
  readonly files: Pick<NodeFiles, 'identity' | 'database' | 'sessions' | 'trust'>;
  readonly network: Pick<NodeNetwork, 'authority' | 'mesh' | 'presence' | 'router'>;
  /** Undefined for a node without a brain. */
  readonly agent: Agent | undefined;
  /** The peers that are met by VoleNet's protocol alone. */
  readonly volePeers: () => readonly VolePeer[];
  readonly log: Logger;
  /** The node stops: what is under way goes on when it is back. */
  readonly isStopping: () => boolean;
  readonly onEnded: (task: TaskSummary) => void;
  /** Told of each task of this node's own that was answered. */
  readonly onTurn: (turn: OwnTurn) => void;
}

/** Work of this node's own. */
interface OwnWork {
  readonly id: string;
  readonly text: string;
  readonly session: string;
  readonly priority: TaskPriority;
  readonly interactive?: boolean;
  readonly source?: string;
}

/** The work this node accepted: its own, done here or elsewhere, and that of its peers. */
export class NodeTasks implements AsyncDisposable {
  readonly #parts: NodeTasksParts;
  readonly #self: PeerId;
  readonly #journal: TaskJournal;
  readonly #runner: TaskRunner;
  readonly #placement: TaskPlacement;
  readonly #served: ServedTasks;
  readonly #admission: TaskAdmission;
  readonly #register: TaskRegister;
  readonly #told: ToldTasks;
  #changed = Promise.withResolvers<void>();

  constructor(parts: NodeTasksParts) {
    this.#parts = parts;
    const { agent, net, config, files, log } = parts;
    const { authority, mesh, presence, router } = parts.network;
    const self = files.identity.id;
    this.#self = self;
    const nameOf = (id: PeerId) => files.trust.get(id)?.name;
    const { database, sessions } = files;
    this.#journal = new TaskJournal({ self, database, sessions, now: systemClock.now, machine: machineClock() });
    this.#register = new TaskRegister({ self, journal: this.#journal, nameOf });
    const mayUse = mayUseFor({
      self,
      isAllowed: (peer, grant, tool) => authority.decide(peer, grant, tool).allowed,
      isForeign: (peer) => [...mesh.peers.keys()].every((id) => id !== peer),
    });
    this.#placement = new TaskPlacement({
      self,
      local: agent === undefined ? undefined : new LocalExecutor({ agent, self, mayUse }),
      net,
      peers: () => mesh.peers,
      volePeers: parts.volePeers,
      ownName: config.name,
      nameOf,
      presence,
      load: () => this.#runner.load(),
      forwardedTo: (peer) => this.#runner.forwardedTo(peer),
      clock: systemClock,
      onRoom: (inMs) => void systemClock.after(inMs, () => this.#runner.wake()),
    });
    this.#runner = new TaskRunner({
      journal: this.#journal,
      placement: this.#placement,
      clock: systemClock,
      options: {
        capacity: config.tasks.concurrency,
        maxTokensPerPeerHour: config.tasks.maxTokensPerPeerHour,
      },
      onLoadChanged: () => presence.changed(),
      announce: (task, call, signal) => this.#served.announce(task, call, signal),
      onEnded: (task) => {
        this.#told.ended(task);
        parts.onEnded(this.#register.summary(task));
        this.#tellTurn(task);
      },
      onError: (error) => log.error({ error: error.message, cause: error.cause }, 'a task could not be kept'),
    });
    const { isStopping } = parts;
    this.#told = new ToldTasks({ runner: this.#runner, journal: this.#journal, register: this.#register, isStopping });
    this.#admission = new TaskAdmission({
      self,
      hasBrain: agent !== undefined,
      net,
      runner: this.#runner,
      roomElsewhere: (sender) => this.#placement.roomElsewhere(sender),
    });
    this.#served = new ServedTasks({
      self,
      router,
      runner: this.#runner,
      journal: this.#journal,
      formerOf: (peer) => files.trust.formerOf(peer),
      adopt: (keys) => adoptTasks(database, { ...keys, endedOnly: true }),
      admit: (sender) => this.#admission.admit(sender),
    });
  }

  /** Takes up what was left when the node stopped. */
  start(): Promise<void> {
    return this.#runner.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner[Symbol.asyncDispose]();
  }

  load(): NodeLoad {
    return this.#runner.load();
  }

  /** How many tasks of a peer may be here at once, those counted that are. */
  placesFor(peer: PeerId): number {
    return this.#admission.placesFor(peer);
  }

  /** A peer came or said something new of itself: a task that waits may have somebody to do it now. */
  wake(): void {
    this.#runner.wake();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  joined(peer: PeerId): void {
    this.#ending(this.#served.joined(peer));
  }

  left(peer: PeerId): void {
    this.#ending(this.#served.left(peer));
    this.wake();
  }

  #ending(ended: Promise<void>): void {
    ended.catch((error: unknown) => {
      this.#parts.log.error({ error: SkeinError.from(error).message }, 'tasks of a peer that left still run');
    });
  }

  /** Accepts work; resolves once it is on the disk. One of the same id is the same work. @throws SkeinError `busy`, `invalid`. */
  async submit(work: OwnWork): Promise<TaskRef> {
    return (await this.#submit(work)).task;
  }

  async #submit(work: OwnWork): Promise<{ readonly task: TaskRef; readonly duplicate: boolean }> {
    const self = this.#self;
    const { turnTimeoutMs } = this.#parts;
    using _place = this.#admission.admit(this.#self);
    const { id, text, session, priority, interactive = false, source } = work;
    // Awaited here: the place is held until the task is among those that wait.
    return await this.#runner.submit({
      origin: self,
      id,
      attempt: 1,
      text,
      session,
      priority,
      interactive,
      ...(source === undefined ? {} : { source }),
      history: [],
      steps: [],
      path: [self],
      remainingMs: turnTimeoutMs(),
    });
  }

  /** Accepts work and tells how it goes, to its answer or error. Once it is accepted, to stop reading stops nothing else. */
  async *ask(
    request: Parameters<GatewayBackend['ask']>[0],
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<TurnEvent> {
    let ref: TaskRef;
    try {
      ref = await this.#accept(request, signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { code, message, retryAfterMs } = SkeinError.from(thrown);
      yield { type: 'error', code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
      return;
    }
    yield* this.#told.tell(ref, { signal });
  }

  /** A task from its beginning on, as `ask` tells it. @throws SkeinError `not-found`, `invalid`, at once. */
  watch(id: string, { signal }: { readonly signal: AbortSignal }): AsyncIterable<TurnEvent> {
    return this.#told.tell(this.#register.find(id), { signal });
  }

  /**
   * Does work that a peer asked for by another protocol than ours, and resolves with how it ended; the same work of the
   * same peer again is answered the same. @throws SkeinError `busy`, `unsupported`, or the signal's reason.
   */
  async runFor(
    peer: PeerId,
    work: { readonly id: string; readonly text: string; readonly session: string; readonly source?: string },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<TaskOutcome> {
    const { turnTimeoutMs, agent } = this.#parts;
    const { id, text, session, source } = work;
    if (agent === undefined && !this.#placement.isAnybodyWilling([peer])) {
      throw new SkeinError('This node has no brain, and none at hand that would work for others', { code: 'unsupported' });
    }
    const ref = { origin: peer, id };
    {
      using _place = this.#admission.admit(peer);
      await this.#runner.submit({
        ...ref,
        attempt: 1,
        text,
        session,
        priority: 'normal',
        interactive: false,
        ...(source === undefined ? {} : { source }),
        history: [],
        steps: [],
        path: [peer],
        remainingMs: turnTimeoutMs(),
      });
    }
    try {
      return await this.#runner.outcome(ref, { signal });
    } finally {
      // Whoever asked does not listen any more; one that has ended stays as it is.
      if (signal.aborted && !this.#parts.isStopping()) await this.#runner.cancel(ref);
    }
  }

  async #accept(
    { id = randomUUID(), text, sessionId, interactive, priority = 'normal' }: Parameters<GatewayBackend['ask']>[0],
    signal: AbortSignal,
  ): Promise<TaskRef> {
    checkRequestText(text);
    this.#admission.admit(this.#self)[Symbol.dispose]();
    await this.#untilWilling(signal);
    const { task, duplicate } = await this.#submit({ id, text, session: sessionId, priority, interactive });
    if (!signal.aborted) return task;
    // Nobody was told that it is accepted, and nobody would look for it.
    if (!duplicate && !this.#parts.isStopping()) await this.#runner.cancel(task);
    throw abortReason(signal);
  }

  confirm(id: string, approve: boolean): Promise<boolean> {
    return this.#told.confirm(id, approve);
  }

  /** How a task ends. */
  outcome(ref: TaskRef, options: { readonly signal: AbortSignal }) {
    return this.#runner.outcome(ref, options);
  }

  /** The ids of this node's own tasks in a conversation that have not ended, the oldest first. */
  openIn(session: string): readonly string[] {
    return this.#journal.openIn(session).map(({ id }) => id);
  }

  list(): readonly TaskSummary[] {
    return this.#register.list();
  }

  /** @throws SkeinError `not-found`, `invalid`. */
  get(id: string): TaskDetail {
    return this.#register.get(id);
  }

  cancel(id: string): Promise<TaskState> {
    return this.#runner.cancel(this.#register.find(id));
  }

  async retry(id: string): Promise<TaskState> {
    const { turnTimeoutMs } = this.#parts;
    return (await this.#runner.retry(this.#register.find(id), { remainingMs: turnTimeoutMs() })).state;
  }

  /**
   * Somebody who asks and waits is told soon that nobody would do it; work that nobody waits for waits itself.
   * @throws SkeinError `unavailable`.
   */
  async #untilWilling(signal: AbortSignal): Promise<void> {
    if (this.#parts.agent !== undefined || this.#placement.isAnybodyWilling()) return;
    using scope = new Scope({ parent: signal, timeoutMs: WILLING_MS, what: 'A peer with a brain' });
    try {
      while (!this.#placement.isAnybodyWilling()) await untilAborted(this.#changed.promise, scope.signal);
    } catch (cause) {
      if (signal.aborted) throw cause;
      const { net, network, volePeers } = this.#parts;
      const { mesh, authority } = network;
      throw nobodyWilling({
        brainSource: net().brainSource,
        records: authority.records(),
        isConnected: (id) => mesh.peers.has(id) || volePeers().some((peer) => peer.id === id),
        cause,
      });
    }
  }

  #tellTurn(ended: TaskInfo): void {
    const { onTurn } = this.#parts;
    if (ended.origin !== this.#self || ended.state !== 'done') return;
    const task = this.#journal.get(ended);
    if (task === undefined || task.text === '') return;
    const { session, text, outcome, acceptedAtMs, updatedAtMs } = task;
    onTurn({ session, text, answer: outcome?.text ?? '', acceptedAtMs, endedAtMs: updatedAtMs });
  }
}
