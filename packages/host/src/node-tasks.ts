import { randomUUID } from 'node:crypto';
import {
  type Agent,
  type AgentEvent,
  agentEventOf,
  failedOutcome,
  isFinal,
  LocalExecutor,
  lastEventOf,
  Scope,
  type Task,
  type TaskInfo,
  TaskJournal,
  type TaskRef,
  TaskRunner,
  untilAborted,
} from '@skein/agent';
import type { VolePeer } from '@skein/dialects';
import type { Database } from '@skein/engine';
import type { GatewayBackend, NodeName, TaskDetail, TaskSummary } from '@skein/gateway';
import { type Peer, type Router, systemClock } from '@skein/mesh';
import { type NodeLoad, type PeerId, SkeinError, type TaskOutcome, type TaskPriority, type TaskState } from '@skein/protocol';
import type { Logger } from 'pino';
import type { NodeConfig } from './config/load-config.ts';
import { TaskPlacement } from './features/delegation/placement.ts';
import { mayUseFor, ServedTasks, type TaskGrants } from './features/delegation/served-tasks.ts';
import type { Presence } from './features/presence.ts';
import type { OwnTurn } from './features/volenet/vole-turns.ts';
import type { NodeFiles } from './node-files.ts';

/** Tasks that are listed. */
const LISTED_MAX = 1_000;
/** When one for whom there is no room should come again. */
const RETRY_AFTER_MS = 1_000;
const ID_CHARS_MIN = 4;
/** How long one who asks waits for a peer that would do it. */
const WILLING_MS = 5_000;

export interface NodeTasksParts {
  readonly self: PeerId;
  readonly config: NodeConfig;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  readonly database: Database;
  readonly sessions: NodeFiles['sessions'];
  /** Undefined for a node without a brain. */
  readonly agent: Agent | undefined;
  readonly router: Router;
  readonly presence: Presence;
  readonly peers: () => ReadonlyMap<PeerId, Peer>;
  /** The peers that are met by VoleNet's protocol alone. */
  readonly volePeers: () => readonly VolePeer[];
  readonly nameOf: (id: PeerId) => string | undefined;
  readonly grants: TaskGrants;
  readonly log: Logger;
  readonly onLoad: () => void;
  /** The node stops: what is under way goes on when it is back. */
  readonly isStopping: () => boolean;
  readonly onEnded: (task: TaskSummary) => void;
  /** Told of each task of this node's own that was answered. */
  readonly onTurn: (turn: OwnTurn) => void;
}

/** The work this node accepted: its own, done here or elsewhere, and that of its peers. */
export class NodeTasks implements AsyncDisposable {
  readonly #parts: NodeTasksParts;
  readonly #journal: TaskJournal;
  readonly #runner: TaskRunner;
  readonly #placement: TaskPlacement;
  readonly #served: ServedTasks;
  /** Tasks that were admitted and are being written, by who handed them over. */
  readonly #admitted = new Map<PeerId, number>();
  /** Which task asked what a person is to confirm. */
  readonly #questions = new Map<string, TaskRef>();
  #changed = Promise.withResolvers<void>();

  constructor(parts: NodeTasksParts) {
    this.#parts = parts;
    const { self, agent, net, config, router, presence, peers, nameOf, grants, log } = parts;
    this.#journal = new TaskJournal({ self, database: parts.database, sessions: parts.sessions, now: systemClock.now });
    const local = agent === undefined ? undefined : new LocalExecutor({ agent, self, mayUse: mayUseFor(grants) });
    const load = () => this.#runner.load();
    this.#placement = new TaskPlacement({
      self,
      local,
      net,
      peers,
      volePeers: parts.volePeers,
      ownName: config.name,
      nameOf,
      presence,
      load,
      monotonicMs: systemClock.monotonicMs,
      now: systemClock.now,
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
      onLoadChanged: parts.onLoad,
      announce: (task, call, signal) => this.#served.announce(task, call, signal),
      onEnded: (task) => {
        parts.onEnded(this.#summary(task));
        this.#tellTurn(task);
      },
      onError: (error) => log.error({ error: error.message, cause: error.cause }, 'a task could not be kept'),
    });
    this.#served = new ServedTasks({
      self,
      router,
      runner: this.#runner,
      journal: this.#journal,
      admit: (sender) => this.#admit(sender),
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

  /** A peer came or said something new of itself: a task that waits may have somebody to do it now. */
  wake(): void {
    this.#runner.wake();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  left(peer: PeerId): void {
    this.#served.left(peer).catch((error: unknown) => {
      this.#parts.log.error({ error: SkeinError.from(error).message }, 'tasks of a peer that left still run');
    });
    this.wake();
  }

  /** Accepts work; resolves once it is on the disk. One of the same id is the same work. @throws SkeinError `busy`, `invalid`. */
  async submit(work: {
    readonly id: string;
    readonly text: string;
    readonly session: string;
    readonly priority: TaskPriority;
    readonly interactive?: boolean;
    readonly source?: string;
  }): Promise<TaskRef> {
    const { self, config } = this.#parts;
    using _place = this.#admit();
    const { id, text, session, priority, interactive = false, source } = work;
    const { task } = await this.#runner.submit({
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
      remainingMs: config.agent.turnTimeoutMs,
    });
    return task;
  }

  /** Accepts work and tells how it goes, to its answer or error. To stop reading cancels it, unless the node stops. */
  async *ask(
    request: Parameters<GatewayBackend['ask']>[0],
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<AgentEvent> {
    let ref: TaskRef;
    try {
      ref = await this.#accept(request, signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { code, message } = SkeinError.from(thrown);
      yield { type: 'error', code, message };
      return;
    }
    let ended = false;
    try {
      const events = this.#runner.watch(ref, { signal });
      for (;;) {
        const next = await events.next();
        if (next.done === true) {
          ended = true;
          yield lastEventOf(next.value);
          return;
        }
        const event = agentEventOf(next.value.event);
        if (event?.type === 'confirm-request') this.#questions.set(event.id, ref);
        if (event !== undefined) yield event;
      }
    } finally {
      for (const [id, asked] of this.#questions) if (asked === ref) this.#questions.delete(id);
      if (!ended && !this.#parts.isStopping()) await this.#runner.cancel(ref);
    }
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
    const { config, agent } = this.#parts;
    const { id, text, session, source } = work;
    if (agent === undefined && !this.#placement.isAnybodyWilling([peer])) {
      throw new SkeinError('This node has no brain, and none at hand that would work for others', { code: 'unsupported' });
    }
    const ref = { origin: peer, id };
    {
      using _place = this.#admit(peer);
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
        remainingMs: config.agent.turnTimeoutMs,
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
    { text, sessionId, interactive, priority = 'normal' }: Parameters<GatewayBackend['ask']>[0],
    signal: AbortSignal,
  ): Promise<TaskRef> {
    this.#admit()[Symbol.dispose]();
    await this.#untilWilling(signal);
    return this.submit({ id: randomUUID(), text, session: sessionId, priority, interactive });
  }

  async confirm(id: string, approve: boolean): Promise<boolean> {
    const ref = this.#questions.get(id);
    return ref === undefined ? false : this.#runner.confirm(ref, id, approve);
  }

  /** How a task ends. */
  outcome(ref: TaskRef, options: { readonly signal: AbortSignal }) {
    return this.#runner.outcome(ref, options);
  }

  list(): readonly TaskSummary[] {
    return this.#journal.list({ limit: LISTED_MAX }).map((task) => this.#summary(task));
  }

  /** @throws SkeinError `not-found`, `invalid`. */
  get(id: string): TaskDetail {
    const ref = this.#find(id);
    const task: Task | undefined = this.#journal.get(ref);
    if (task === undefined) throw new SkeinError(`There is no task ${id}`, { code: 'not-found' });
    return {
      ...this.#summary(task),
      steps: this.#journal.steps(ref).map(({ atMs, attempt, event }) => ({ atMs, attempt, event })),
      outcome: task.outcome ?? (isFinal(task.state) ? failedOutcome('unknown', NOT_KEPT) : null),
    };
  }

  cancel(id: string): Promise<TaskState> {
    return this.#runner.cancel(this.#find(id));
  }

  async retry(id: string): Promise<TaskState> {
    const { config } = this.#parts;
    return (await this.#runner.retry(this.#find(id), { remainingMs: config.agent.turnTimeoutMs })).state;
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
      const { brainSource } = this.#parts.net();
      const who = brainSource === 'remote' ? 'No connected peer lets' : `${brainSource} is away or does not let`;
      throw new SkeinError(
        `${who} this node use its brain (net.brainSource is "${brainSource}"); over there: skein net trust "<this node's key line>" --allow-brain`,
        { code: 'unavailable', cause },
      );
    }
  }

  /**
   * Places are kept for others: what peers handed over never keeps this node's own tasks out, and one peer may have no
   * more waiting than it leaves free. @throws SkeinError `unsupported` where nobody could ever do it, `busy`.
   */
  #admit(sender: PeerId = this.#parts.self): Disposable {
    const { agent, net, self } = this.#parts;
    const { maxQueuedTasks, taskOverflow, brainSource, brainMode } = net();
    if (agent === undefined && brainSource === 'local' && brainMode === 'local') {
      throw new SkeinError(
        'This node has no brain (brain.provider is "none"); ask another node, give this one a brain, or let it use a peer\'s (net.brainSource)',
        { code: 'unsupported' },
      );
    }
    const { running, capacity, queued: waiting } = this.#runner.load();
    const waitingOf = (id: PeerId) => this.#runner.waitingOf(id) + (this.#admitted.get(id) ?? 0);
    const all = [...this.#admitted.values()].reduce((sum, count) => sum + count, waiting);
    const queued = sender === self ? waitingOf(self) : all - waitingOf(self);
    // One that may begin at once does not wait.
    const room = maxQueuedTasks + Math.max(0, capacity - running);
    const hasRoom = sender === self ? queued < room : queued < room && waitingOf(sender) < room - queued;
    if (hasRoom || (taskOverflow === 'forward' && this.#placement.hasRoomElsewhere())) return this.#reserve(sender);
    throw new SkeinError(`${queued} tasks wait here already, as many as may (net.maxQueuedTasks): try again later`, {
      code: 'busy',
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  #tellTurn(ended: TaskInfo): void {
    const { self, onTurn } = this.#parts;
    if (ended.origin !== self || ended.state !== 'done') return;
    const task = this.#journal.get(ended);
    if (task === undefined || task.text === '') return;
    const { session, text, outcome, acceptedAtMs, updatedAtMs } = task;
    onTurn({ session, text, answer: outcome?.text ?? '', acceptedAtMs, endedAtMs: updatedAtMs });
  }

  /** Holds a place until the task is among those that wait. */
  #reserve(sender: PeerId): Disposable {
    const change = (by: 1 | -1) => {
      const count = (this.#admitted.get(sender) ?? 0) + by;
      if (count > 0) this.#admitted.set(sender, count);
      else this.#admitted.delete(sender);
    };
    change(1);
    return { [Symbol.dispose]: () => change(-1) };
  }

  #find(id: string): TaskRef {
    if (!/^[0-9a-f-]+$/.test(id) || id.length < ID_CHARS_MIN) {
      throw new SkeinError(`"${id.slice(0, 60)}" is not the id of a task, nor ${ID_CHARS_MIN} or more characters of one`, {
        code: 'invalid',
      });
    }
    const [found, other] = this.#journal.list({ id, limit: 2 });
    if (found === undefined) throw new SkeinError(`There is no task ${id}; skein tasks list shows them`, { code: 'not-found' });
    if (other !== undefined && other.id !== id) {
      throw new SkeinError(`Several tasks begin with ${id}: ${found.id}, ${other.id}`, { code: 'invalid' });
    }
    return found;
  }

  #summary(task: TaskInfo): TaskSummary {
    const { id, state, attempt, title, session, priority, acceptedAtMs, updatedAtMs, deadlineAtMs, tokens } = task;
    return {
      id,
      origin: task.origin === this.#parts.self ? null : this.#label(task.origin),
      owner: task.owner === 'me' ? null : this.#label(task.owner),
      state,
      attempt,
      title,
      session,
      priority,
      acceptedAtMs,
      updatedAtMs,
      deadlineAtMs,
      tokens,
    };
  }

  #label(id: PeerId): NodeName {
    return { id, name: this.#parts.nameOf(id) ?? id.slice(0, 8) };
  }
}

const NOT_KEPT = { code: 'not-found', message: 'How it ended is no longer kept' } as const;
