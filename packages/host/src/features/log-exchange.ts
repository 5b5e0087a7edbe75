import { type Acceptance, type OperationLog, untilAborted } from '@skein/agent';
import type { Clock, Peer } from '@skein/mesh';
import {
  CHAINS_MAX,
  type ChainHead,
  type ChainRange,
  type OperationMethods,
  type PeerId,
  SkeinError,
  WANTS_MAX,
} from '@skein/protocol';
import { chainKey, type KnownChain, LogWants } from './log-wants.ts';

/** How long one page or push may take. */
const PAGE_TIMEOUT_MS = 30_000;
/** Before asking again for what was refused for the time being. */
const REFUSED_MS = 30_000;
/** Before trying again with a peer that was too busy or did not answer. */
const UNAVAILABLE_MS = 2_000;
/** Before trying again after a fault of this node or of the peer, which may pass. */
const FAULT_MS = 30_000;

/** What people should know of a log that is kept the same on several nodes. */
export type SyncEvent =
  /** An author wrote two histories and is not listened to any more; with this node's own id, its store was set back. */
  | { readonly type: 'sync-forked'; readonly log: string; readonly author: PeerId; readonly reason: string }
  /** Operations of an author are not taken; told once for each peer that brings them and each code. */
  | { readonly type: 'sync-refused'; readonly log: string; readonly author: PeerId; readonly reason: string }
  /** A peer brought what its author never signed. */
  | {
      readonly type: 'sync-forged';
      readonly log: string;
      readonly peer: PeerId;
      readonly name: string;
      readonly reason: string;
    };

export interface LogExchangeParts {
  readonly peer: Peer;
  readonly log: OperationLog;
  readonly methods: OperationMethods;
  readonly clock: Clock;
  /** Whether the log may be shared, and with this peer. */
  readonly mayTell: () => boolean;
  readonly isShared: () => boolean;
  readonly mayWrite: (author: PeerId) => boolean;
  /** Chains that are being asked for just now, by any exchange of this log: no two peers send the same. */
  readonly claims: Set<string>;
  /** Claims were given back. */
  readonly onReleased: () => void;
  /** Operations were taken that another peer may lack. */
  readonly onGrown: (chains: readonly ChainHead[]) => void;
  readonly onEvent: (event: SyncEvent) => void;
}

type Work = 'meet' | 'pull' | 'push';

/** One log between this node and one peer, for as long as their session lasts. */
export class LogExchange {
  readonly peer: Peer;
  readonly #parts: LogExchangeParts;
  readonly #wants = new LogWants();
  readonly #life = new AbortController();
  /** What runs now, and whether it is to run once more. */
  readonly #running = new Map<Work, { again: boolean }>();
  /** What is to be tried again; `unblock` is what was refused for the time being. */
  readonly #timers = new Map<Work | 'unblock', () => void>();
  readonly #told = new Set<string>();
  /** How far this node's own chain was brought to it, or it was told to ask for it. */
  #pushed: Pick<ChainHead, 'replica' | 'seq'> | undefined;
  #forged = false;
  #pullFailed = false;

  constructor(parts: LogExchangeParts) {
    this.peer = parts.peer;
    this.#parts = parts;
  }

  /** True when the peer brought something that nobody signed: nothing more is taken of it in this session. */
  get isForger(): boolean {
    return this.#forged;
  }

  /** Both sides say how far they are, then each asks for what it lacks. */
  meet(): void {
    this.#wants.unblock();
    this.#run('meet', () => this.#meet());
  }

  /** The peer says how far chains of its go. */
  heard(chains: readonly KnownChain[]): void {
    const { log, mayWrite } = this.#parts;
    for (const chain of chains) this.#wants.note(chain, chain.author === log.self || mayWrite(chain.author));
    this.#askOn();
  }

  /** Others let go of what they asked for. One whose last try failed waits for its time, or for news of the peer. */
  released(): void {
    if (!this.#pullFailed) this.#askOn();
  }

  /** Brings the peer what this node has written since. */
  push(): void {
    this.#run('push', () => this.#push());
  }

  /** Tells the peer of chains that grew here; false when it takes nothing just now. */
  tell(chains: readonly ChainHead[]): boolean {
    const news = chains.filter((chain) => !this.#wants.has(chain)).slice(0, CHAINS_MAX);
    if (news.length === 0 || !this.#parts.mayTell()) return true;
    if (this.#pushed === undefined) {
      // What it is being told may be how far they went before: they meet once more.
      const meeting = this.#running.get('meet');
      if (meeting !== undefined) meeting.again = true;
      return true;
    }
    try {
      this.peer.publish(this.#parts.methods.have, { chains: news });
      return true;
    } catch {
      return !this.peer.isOpen;
    }
  }

  /**
   * Keeps what the peer brought, asked for or not.
   * @throws SkeinError `invalid`, `unauthenticated` when it was forged, and what the database raises.
   */
  async accept(operations: Parameters<OperationLog['accept']>[0]): Promise<Acceptance> {
    const { log, mayWrite, onGrown, onEvent } = this.#parts;
    let acceptance: Acceptance;
    try {
      acceptance = await log.accept(operations, { mayWrite });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (error.code === 'invalid' || error.code === 'unauthenticated') this.#isForging(error);
      throw error;
    }
    const { grown, gaps, forks } = acceptance;
    for (const refusal of acceptance.refused) this.#refused(refusal);
    for (const { author, reason } of forks) onEvent({ type: 'sync-forked', log: log.name, author, reason });
    for (const chain of grown) this.#wants.note(chain, false);
    if (grown.length > 0) onGrown(grown);
    if (gaps.length > 0) this.heard(gaps.map(({ author, replica, to }) => ({ author, replica, seq: to })));
    return acceptance;
  }

  close(): void {
    this.#life.abort(new SkeinError('The session has ended', { code: 'canceled' }));
    for (const release of this.#timers.values()) release();
    this.#timers.clear();
  }

  /** Asks for what the peer has more of. */
  #askOn(): void {
    this.#run('pull', () => this.#pull());
  }

  async #meet(): Promise<void> {
    const { log, methods, mayTell } = this.#parts;
    const own = log.ownHead();
    const told = mayTell();
    const { chains } = await this.peer.call(methods.have, { chains: told ? log.heads() : [] }, this.#options());
    // What it was told of it asks for; what is written from here on is brought.
    this.#pushed = told ? { replica: own?.replica ?? '', seq: own?.seq ?? 0 } : undefined;
    await this.#fill();
    this.heard(chains);
    this.push();
  }

  /** Asks for bodies that did not come with their operations. */
  async #fill(): Promise<void> {
    const { log, methods, mayWrite } = this.#parts;
    const wants = (await log.takeHoles(WANTS_MAX)).filter(({ author }) => mayWrite(author));
    if (wants.length === 0) return;
    const { operations } = await this.peer.call(methods.pull, { wants }, this.#options());
    const filled = operations.filter(({ body }) => body !== undefined);
    if (filled.length > 0) await this.accept(filled);
  }

  async #pull(): Promise<void> {
    const { log, methods, claims, isShared, onReleased } = this.#parts;
    for (;;) {
      const wants = this.#wants.next(
        (chain) => log.headOf(chain),
        (key) => !claims.has(key),
      );
      if (wants.length === 0 || this.#forged || !isShared()) return;
      for (const want of wants) claims.add(chainKey(want));
      const before = new Map(wants.map((want) => [want, log.headOf(want)?.seq]));
      try {
        const { operations } = await this.peer.call(methods.pull, { wants }, this.#options());
        const { added, forks } = operations.length === 0 ? NOTHING : await this.accept(operations);
        // It does not give what it said it has, or nothing of it can be taken; one that its author brought meanwhile goes on.
        const isStuck = (want: ChainRange) => forks.length > 0 || (added === 0 && log.headOf(want)?.seq === before.get(want));
        for (const want of wants.filter(isStuck)) this.#wants.block(want, 'until-it-grows');
      } finally {
        for (const want of wants) claims.delete(chainKey(want));
        onReleased();
      }
    }
  }

  async #push(): Promise<void> {
    const { log, methods, mayTell } = this.#parts;
    for (;;) {
      const own = log.ownHead();
      if (own === undefined || this.#pushed === undefined || !mayTell()) return;
      const from = this.#pushed.replica === own.replica ? this.#pushed.seq + 1 : 1;
      if (from > own.seq) return;
      const operations = log.read([{ author: own.author, replica: own.replica, from, to: own.seq }]);
      await this.peer.call(methods.push, { operations }, this.#options());
      this.#pushed = { replica: own.replica, seq: from + operations.length - 1 };
    }
  }

  #options() {
    return { signal: this.#life.signal, timeoutMs: PAGE_TIMEOUT_MS, priority: 'bulk' } as const;
  }

  /** Does one kind of work, one at a time; asked for while it runs, it runs once more. */
  #run(work: Work, run: () => Promise<void>): void {
    const running = this.#running.get(work);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    if (this.#life.signal.aborted || this.#forged || !this.#parts.isShared()) return;
    this.#timers.get(work)?.();
    this.#timers.delete(work);
    const state = { again: false };
    this.#running.set(work, state);
    const ended = (retryInMs: number | undefined, failed = true) => {
      this.#running.delete(work);
      if (work === 'pull') this.#pullFailed = failed;
      if (retryInMs !== undefined) this.#later(work, retryInMs, () => this.#run(work, run));
      else if (state.again) this.#run(work, run);
    };
    untilAborted(run(), this.#life.signal).then(
      () => ended(undefined, false),
      (thrown: unknown) => ended(this.#failed(SkeinError.from(thrown))),
    );
  }

  /** When to try again; undefined for what only a new session or other grants can change. */
  #failed(error: SkeinError): number | undefined {
    switch (error.code) {
      case 'busy':
      case 'unavailable':
      case 'deadline-exceeded':
        return error.retryAfterMs ?? UNAVAILABLE_MS;
      case 'internal':
        return FAULT_MS;
      case 'denied':
      case 'not-found':
        // Not to share is a choice. It is asked again when they meet again.
        this.#pushed = undefined;
        return undefined;
      default:
        return undefined;
    }
  }

  #refused({ author, replica, seq, code, message, passing }: Acceptance['refused'][number]): void {
    const { log, onEvent } = this.#parts;
    this.#wants.note({ author, replica, seq }, passing);
    this.#wants.block({ author, replica }, 'until-unblocked');
    // One that is set already stays: whoever brings more and more of it does not put it off.
    if (passing && code !== 'denied' && !this.#timers.has('unblock')) {
      this.#later('unblock', REFUSED_MS, () => {
        this.#wants.unblock();
        this.#askOn();
      });
    }
    const key = `${author} ${code}`;
    if (this.#told.has(key) || this.#told.size >= CHAINS_MAX) return;
    this.#told.add(key);
    onEvent({ type: 'sync-refused', log: log.name, author, reason: message });
  }

  #isForging(error: SkeinError): void {
    if (this.#forged) return;
    this.#forged = true;
    const { log, onEvent } = this.#parts;
    onEvent({ type: 'sync-forged', log: log.name, peer: this.peer.id, name: this.peer.name, reason: error.message });
  }

  #later(what: Work | 'unblock', ms: number, then: () => void): void {
    if (this.#life.signal.aborted) return;
    this.#timers.get(what)?.();
    const fire = () => {
      this.#timers.delete(what);
      then();
    };
    this.#timers.set(what, this.#parts.clock.after(ms, fire));
  }
}

const NOTHING = { added: 0, forks: [] };
