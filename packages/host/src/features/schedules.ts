import {
  type RunClaim,
  type Schedule,
  type ScheduledRun,
  type ScheduleEvent,
  type ScheduleInfo,
  Scheduler,
  type ScheduleStore,
} from '@skein/agent';
import type { Clock, Peer, Router } from '@skein/mesh';
import { type PeerId, SkeinError, schedulesClaim, type TaskPriority } from '@skein/protocol';
import type { Leadership } from './leadership.ts';
import type { Witnesses } from './leadership-status.ts';

/** How long a peer may take to note a claim. */
const CLAIM_MS = 5_000;

/** What a due schedule asks for. */
export interface ScheduledTask {
  /** A UUID that is the same for this run of the schedule on every node: the task's id. */
  readonly task: string;
  readonly text: string;
  readonly session: string;
  readonly priority: TaskPriority;
}

export interface SchedulesParts {
  readonly self: PeerId;
  readonly schedules: readonly Schedule[];
  /** `leader`: the leader runs them for all. `independent`: each node runs them for itself. */
  readonly mode: 'leader' | 'independent';
  readonly leadership: Leadership;
  readonly store: ScheduleStore;
  readonly router: Router;
  readonly clock: Clock;
  /** Resolves when the task is on the disk. The same task again must have no further effect; a rejection is tried again. */
  readonly submit: (task: ScheduledTask, options: { readonly signal: AbortSignal }) => Promise<unknown>;
  readonly onEvent: (event: ScheduleEvent) => void;
  /** A peer claimed a run and does not lead. */
  readonly onRefused: (refusal: { readonly peer: PeerId; readonly reason: string }) => void;
}

/** What a peer said to a claim; `undefined` when it said nothing, `null` when it knows of no claim and takes none. */
type Word = RunClaim | null | undefined;

/**
 * Asks the agent what its schedules say, once for each due time in the whole network. Nodes agree by their configuration:
 * a schedule is the same where its name and its rule are the same.
 */
export class Schedules {
  readonly #parts: SchedulesParts;
  readonly #scheduler: Scheduler;
  #release: () => void = () => {};

  constructor(parts: SchedulesParts) {
    this.#parts = parts;
    const { self, store, clock, schedules, mode, leadership, submit, onEvent } = parts;
    parts.router.serve(schedulesClaim, (claim, { peer }) => this.#answer(claim, peer.id));
    this.#scheduler = new Scheduler({
      self,
      store,
      clock,
      schedules,
      independent: mode === 'independent',
      isLeading: () => leadership.isLeading,
      claim: (run, options) => this.#claim(run, options),
      submit: async ({ schedule: { text, session, priority }, task }, options) => {
        await submit({ task, text, session, priority }, options);
      },
      onEvent,
    });
  }

  /** Begins to look at the clock; the leadership has started. */
  async start(): Promise<void> {
    await this.#scheduler.start();
    this.#release = this.#parts.leadership.onChange(({ isMe }) => {
      if (isMe) this.#scheduler.look();
    });
  }

  list(): readonly ScheduleInfo[] {
    return this.#scheduler.list();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release();
    await this.#scheduler[Symbol.asyncDispose]();
  }

  async #answer(
    claim: { readonly schedule: string; readonly dueMs: number; readonly term: number },
    peer: PeerId,
  ): Promise<RunClaim> {
    const { leadership, store, onRefused } = this.#parts;
    const { schedule, dueMs, term } = claim;
    if (leadership.accepts(peer, term)) return store.claim({ schedule, dueMs, owner: peer, term });
    const known = store.claimOf(schedule, dueMs);
    if (known !== undefined) return known;
    onRefused({ peer, reason: 'it claims the run of a schedule and does not lead' });
    throw new SkeinError('You are not the leader this node knows', { code: 'denied' });
  }

  /** Whose run it is; undefined when nobody can have it. @throws SkeinError `unavailable`, `conflict`. */
  async #claim(run: ScheduledRun, { signal }: { readonly signal: AbortSignal }): Promise<PeerId | undefined> {
    const { self, mode, leadership, store } = this.#parts;
    const { dueMs } = run;
    const schedule = run.schedule.id;
    if (mode === 'independent') return (await store.claim({ schedule, dueMs, owner: self, term: null })).owner;
    const known = store.claimOf(schedule, dueMs);
    if (known?.final === true) return known.owner;
    // A run it claimed while it led is its own business still when another leads.
    const claimed = known !== undefined && !leadership.isLeading ? { noted: known, term: leadership.term } : undefined;
    const { noted, term } = claimed ?? (await this.#claimAsLeader(schedule, dueMs, signal));
    const witnesses = leadership.witnesses();
    if (witnesses.peers.length < witnesses.needed) throw tooFew(witnesses.peers.length, witnesses.needed);
    const params = { schedule, dueMs, term };
    const words = await Promise.all(
      witnesses.peers.map(async (peer) => ({ from: peer.id, word: await ask(peer, params, signal) })),
    );
    if (claimed !== undefined || witnesses.mode !== 'quorum') return decide(self, noted, words, witnesses);
    // A voter that does not take its leader for one yet has noted nothing, and will.
    const open = words.map(({ from, word }) => ({ from, word: word ?? undefined }));
    return decide(self, noted, open, witnesses);
  }

  async #claimAsLeader(
    schedule: string,
    dueMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly noted: RunClaim; readonly term: number }> {
    const { self, leadership, store } = this.#parts;
    const { term, check } = await leadership.fence({ signal });
    const noted = await store.claim({ schedule, dueMs, owner: self, term });
    check();
    return { noted, term };
  }
}

async function ask(
  peer: Peer,
  params: { readonly schedule: string; readonly dueMs: number; readonly term: number },
  signal: AbortSignal,
): Promise<Word> {
  try {
    return await peer.call(schedulesClaim, params, { signal, timeoutMs: CLAIM_MS });
  } catch (error) {
    // One that has no schedules is no witness of any; any other failure leaves open what it would say.
    const { code } = SkeinError.from(error);
    return code === 'denied' || code === 'not-found' ? null : undefined;
  }
}

/** Whose run it is by what this node and the witnesses have noted. @throws SkeinError `unavailable`. */
function decide(
  self: PeerId,
  noted: RunClaim,
  words: readonly { readonly from: PeerId; readonly word: Word }[],
  witnesses: Witnesses,
): PeerId | undefined {
  const certain = words.find(({ word }) => word?.final === true)?.word;
  if (certain !== undefined && certain !== null) return certain.owner;
  const heard = words.flatMap(({ from, word }) => (word === undefined || word === null ? [] : [{ from, owner: word.owner }]));
  const silent = words.filter(({ word }) => word === undefined).length;
  switch (witnesses.mode) {
    case 'forced':
      return noted.owner;
    case 'quorum': {
      const notes = [...(witnesses.selfCounts ? [noted.owner] : []), ...heard.map(({ owner }) => owner)];
      const majority = witnesses.needed + (witnesses.selfCounts ? 1 : 0);
      const owner = notes.find((id) => notes.filter((other) => other === id).length >= majority);
      if (owner !== undefined) return owner;
      if (silent === 0 && words.length === witnesses.all) return undefined;
      throw tooFew(words.length - silent, witnesses.all);
    }
    case 'auto': {
      if (silent > 0) throw tooFew(words.length - silent, witnesses.needed);
      // What others noted of a third was first; two that each only noted themselves go by their ids.
      const ofOthers = heard.filter(({ from, owner }) => owner !== self && owner !== from).map(({ owner }) => owner);
      const ofThemselves = heard.filter(({ from, owner }) => owner === from).map(({ owner }) => owner);
      return [...ofOthers].sort()[0] ?? [noted.owner, ...ofThemselves].sort()[0];
    }
  }
}

function tooFew(answered: number, needed: number): SkeinError {
  return new SkeinError(`Only ${answered} of the ${needed} peers that must know of a run answered; it is tried again`, {
    code: 'unavailable',
  });
}
