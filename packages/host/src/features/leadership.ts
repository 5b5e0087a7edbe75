import {
  adviseElection,
  type Clock,
  createElection,
  type ElectionAnswer,
  type ElectionEffect,
  type ElectionEvent,
  type ElectionRecord,
  type ElectionRequest,
  type ElectionSetting,
  type ElectionState,
  leaseUntilMs,
  type Mesh,
  nextElection,
  type Peer,
  type Router,
  writeFileAtomic,
} from '@skein/mesh';
import { abortReason, leaderRenew, leaderState, leaderVote, type PeerId, SkeinError } from '@skein/protocol';
import { Sparingly } from '../sparingly.ts';
import { askElection } from './election-calls.ts';
import { readElectionRecord } from './election-file.ts';
import { type Fence, type LeadershipStatus, leadershipStatusOf, type Witnesses, witnessesOf } from './leadership-status.ts';

/** After the file could not be written. */
const WRITE_AGAIN_MS = 5_000;
/** How long to wait for a lease. */
const FENCE_WAIT_MS = 3_000;
/** A lease that ends sooner is renewed before anything is begun under it. */
const FENCE_LEAST_MS = 2_000;
/** Between two clocks of one machine, in the time of a lease: beyond, one of them jumped or the machine slept. */
const CLOCKS_APART_MAX_MS = 2_000;
const REFUSALS_PER_MINUTE = 60;

export interface LeadershipParts {
  readonly setting: ElectionSetting;
  readonly mesh: Pick<Mesh, 'peers'>;
  readonly router: Router;
  readonly clock: Clock;
  /** The file of the term and the vote. */
  readonly path: string;
  readonly nameOf: (id: PeerId) => string;
  /** A peer tried what it may not. At most 60 a minute are told, with the number left out since. */
  readonly onRefused: (refusal: { readonly peer: PeerId; readonly reason: string; readonly count?: number }) => void;
  /** The file cannot be written: meanwhile this node neither votes nor leads anew. */
  readonly onError: (error: SkeinError) => void;
}

/** Runs the election among the peers: who leads, and whether this node may act as leader. */
export class Leadership {
  readonly #parts: LeadershipParts;
  readonly #refusals: Sparingly;
  readonly #listeners = new Set<(status: LeadershipStatus) => void>();
  /** Woken after every event. */
  readonly #waiting = new Set<() => void>();
  /** What happened and could not be taken since the file could not be written: by peer, or the last setting. */
  readonly #missed = new Map<PeerId | 'setting', ElectionEvent>();
  #state: ElectionState | undefined;
  /** What a person was last told to do. */
  #advised: string | null = null;
  #releaseWake: () => void = () => {};
  #closed = false;

  constructor(parts: LeadershipParts) {
    this.#parts = parts;
    this.#refusals = new Sparingly({ maxPerMinute: REFUSALS_PER_MINUTE, monotonicMs: () => parts.clock.monotonicMs() });
    const { router } = parts;
    router.serve(leaderState, (view, { peer }) => this.#answer(peer.id, { type: 'state', view }, 'state').view);
    router.serve(leaderVote, (params, { peer }) => {
      const { granted, term, leader, waitMs } = this.#answer(peer.id, { type: 'vote', ...params }, 'vote');
      return { granted, term, leader, waitMs };
    });
    router.serve(leaderRenew, (params, { peer }) => {
      const { granted, term } = this.#answer(peer.id, { type: 'renew', ...params, round: 0 }, 'renew');
      return { granted, term };
    });
  }

  /** Reads what was promised before, and begins to take part. @throws SkeinError `corrupt`, `denied` for the file. */
  start(): void {
    const { setting, path, mesh, clock } = this.#parts;
    this.#state = createElection(setting, readElectionRecord(path), clock.monotonicMs());
    this.#take({ type: 'wake' });
    for (const peer of mesh.peers.values()) this.joined(peer);
  }

  /** A session with a peer began, a first one or one in the place of another. */
  joined(peer: Peer): void {
    this.#take({ type: 'up', peer: peer.id, ask: peer.initiator });
  }

  left(id: PeerId): void {
    this.#take({ type: 'down', peer: id });
  }

  /** The voters, the members or the mode are others. */
  configure(setting: ElectionSetting): void {
    this.#take({ type: 'setting', setting });
  }

  /** True while this node leads. Before an effect, ask for a fence. */
  get isLeading(): boolean {
    return this.#state?.role === 'leader';
  }

  get term(): number {
    return this.#state?.term ?? 0;
  }

  status(): LeadershipStatus {
    return leadershipStatusOf(this.#started(), this.#parts.nameOf);
  }

  /** Calls back when another leads, nobody does, a new term began, or `fix` is another; the returned function ends that. */
  onChange(listener: (status: LeadershipStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether a peer is the leader of this term as far as this node knows. */
  accepts(peer: PeerId, term: number): boolean {
    return this.#state?.leader === peer && this.#state.term === term;
  }

  /**
   * Those beside this node that must have noted something before it acts on it as leader: with itself a majority in
   * `quorum`, in `auto` all that take part, nobody in `forced`. Fewer peers than needed: it cannot be done now.
   */
  witnesses(): Witnesses {
    return witnessesOf(this.#started(), this.#parts.mesh.peers);
  }

  /**
   * The right to act as leader now. In `quorum` a majority of voters is asked first, each time.
   * @throws SkeinError `unavailable` when this node does not lead or no majority answers, `canceled`.
   */
  async fence({ signal }: { readonly signal: AbortSignal }): Promise<Fence> {
    const { clock } = this.#parts;
    if (signal.aborted) throw abortReason(signal);
    // What is known may be old: a node that stood still finds out here.
    this.#take({ type: 'renew' });
    const untilMs = clock.monotonicMs() + FENCE_WAIT_MS;
    while (this.isLeading && this.#leaseMs() < FENCE_LEAST_MS && clock.monotonicMs() < untilMs) {
      await this.#change(untilMs - clock.monotonicMs(), signal);
    }
    const { term } = this;
    const apartMs = this.#clocksApartMs();
    const check = () => {
      if (this.#closed || !this.isLeading || this.term !== term) {
        throw new SkeinError(`This node does not lead in term ${term} (any more)`, { code: 'conflict' });
      }
      if (this.#leaseMs() <= 0 || Math.abs(this.#clocksApartMs() - apartMs) > CLOCKS_APART_MAX_MS) {
        throw new SkeinError(`The lease of term ${term} may have run out: too few voters renewed it in time`, {
          code: 'unavailable',
        });
      }
    };
    if (!this.isLeading) throw new SkeinError('This node does not lead', { code: 'unavailable' });
    check();
    return { term, check };
  }

  /** Leads no more, and tells the peers so. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#take({ type: 'resign' });
    this.#closed = true;
    this.#releaseWake();
    for (const wake of this.#waiting) wake();
    this.#listeners.clear();
  }

  /** How long this node may still act as leader. */
  #leaseMs(): number {
    return leaseUntilMs(this.#started()) - this.#parts.clock.monotonicMs();
  }

  /** A monotonic clock stands still while the machine sleeps, a wall clock may be set: together they tell. */
  #clocksApartMs(): number {
    const { clock } = this.#parts;
    return clock.now() - clock.monotonicMs();
  }

  /** Resolves with the next event, or when the time is over. */
  async #change(withinMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const release = this.#parts.clock.after(withinMs, resolve);
    const stop = () => resolve();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await promise;
    } finally {
      release();
      signal.removeEventListener('abort', stop);
      this.#waiting.delete(resolve);
    }
    if (signal.aborted) throw abortReason(signal);
  }

  #started(): ElectionState {
    if (this.#state === undefined) throw new SkeinError('The node has not started', { code: 'unavailable' });
    return this.#state;
  }

  #answer<T extends ElectionAnswer['type']>(
    from: PeerId,
    request: ElectionRequest,
    type: T,
  ): Extract<ElectionAnswer, { type: T }> {
    const effects = this.#take({ type: 'request', from, request });
    for (const effect of effects) {
      if (effect.type !== 'answer') continue;
      const { answer } = effect;
      if (isOfType(answer, type)) return answer;
    }
    throw new SkeinError('This node takes no part in elections just now', { code: 'unavailable' });
  }

  /**
   * One event and all that follows from it. What cannot be put on the disk has not happened; who came and went, and
   * another setting, are taken when this node next wakes.
   */
  #take(event: ElectionEvent): readonly ElectionEffect[] {
    if (this.#state === undefined || this.#closed) return [];
    if (event.type === 'wake') for (const missed of [...this.#missed.values()]) this.#take(missed);
    const fact = event.type === 'up' || event.type === 'down' ? event.peer : event.type === 'setting' ? event.type : undefined;
    if (fact !== undefined) this.#missed.delete(fact);
    const { state, effects } = nextElection(this.#state, event, this.#parts.clock.monotonicMs());
    const persist = effects.find((effect) => effect.type === 'persist');
    if (persist !== undefined && !this.#write(persist.record)) {
      if (fact !== undefined) this.#missed.set(fact, event);
      return [];
    }
    this.#state = state;
    for (const effect of effects) this.#do(effect);
    const advice = adviseElection(state);
    if (advice !== this.#advised) {
      this.#advised = advice;
      this.#tell();
    }
    for (const wake of this.#waiting) wake();
    return effects;
  }

  #do(effect: ElectionEffect): void {
    const { clock, mesh } = this.#parts;
    switch (effect.type) {
      case 'send': {
        const peer = mesh.peers.get(effect.to);
        if (peer !== undefined) this.#send(peer, effect.request);
        return;
      }
      case 'wake':
        this.#releaseWake();
        this.#releaseWake = clock.after(Math.max(0, effect.atMs - clock.monotonicMs()), () => this.#take({ type: 'wake' }));
        return;
      case 'leader':
        this.#tell();
        return;
      case 'refused':
        this.#refused(effect.peer, effect.reason);
        return;
      case 'persist':
      case 'answer':
      case 'leading':
      case 'lost':
        return;
    }
  }

  #tell(): void {
    const status = this.status();
    for (const listener of this.#listeners) listener(status);
  }

  #send(peer: Peer, request: ElectionRequest): void {
    askElection(peer, request).then(
      (answer) => this.#take({ type: 'answer', from: peer.id, answer }),
      (error: unknown) => {
        // Whoever is there and does not know the method has no part in this; anybody else is asked again.
        if (SkeinError.from(error).code === 'not-found') this.#take({ type: 'silent', peer: peer.id });
      },
    );
  }

  #refused(peer: PeerId, reason: string): void {
    const left = this.#refusals.admit();
    if (left === undefined) return;
    this.#parts.onRefused({ peer, reason, ...(left === 0 ? {} : { count: left }) });
  }

  #write(record: ElectionRecord): boolean {
    const { path, onError, clock } = this.#parts;
    try {
      writeFileAtomic(path, `${JSON.stringify(record)}\n`);
      return true;
    } catch (cause) {
      onError(
        new SkeinError(`${path} cannot be written, so this node takes no part in elections`, { code: 'unavailable', cause }),
      );
      this.#releaseWake();
      this.#releaseWake = clock.after(WRITE_AGAIN_MS, () => this.#take({ type: 'wake' }));
      return false;
    }
  }
}

function isOfType<T extends ElectionAnswer['type']>(
  answer: ElectionAnswer,
  type: T,
): answer is Extract<ElectionAnswer, { type: T }> {
  return answer.type === type;
}
