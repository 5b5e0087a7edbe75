import {
  createElection,
  type ElectionEffect,
  type ElectionEvent,
  type ElectionRecord,
  type ElectionSetting,
  type ElectionState,
  electionSetting,
  leaseUntilMs,
  nextElection,
} from '@skein/mesh';
import { type ElectionMode, type PeerId, peerIdOf } from '@skein/protocol';
import { seeded } from '@skein/testing';

/** After so long without a word a side takes its session for dead; real ones do within 15 s. */
const DEAD_AFTER_MS = 14_400;
const REDIAL_MS = 400;

/** Ids of made-up keys, lowest first. */
export function peerIds(count: number): PeerId[] {
  return Array.from({ length: count }, (_, index) => peerIdOf(Buffer.alloc(32, index + 1))).sort();
}

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly mode: Exclude<ElectionMode, 'forced'>;
  /** How much the clocks' rates differ from real time at most: 0.1 is a tenth. */
  readonly drift?: number;
  /** Chance of a message to be lost, to come twice, and to take long. */
  readonly loss?: number;
  /** Majorities of the lists of voters have none in common: a term then is one of a list, and not of all. */
  readonly listsApart?: boolean;
}

export interface SimulatedNode {
  readonly id: PeerId;
  readonly rate: number;
  state: ElectionState | undefined;
  record: ElectionRecord | undefined;
  /** In real time; nothing runs in it before. */
  pausedUntilMs: number;
  /** The voters it names, by their places; undefined for all. */
  named: readonly number[] | undefined;
  /** The session it has with each peer. */
  readonly sessions: Map<PeerId, number>;
  wakeToken: number;
  /** What came while it stood still. */
  readonly backlog: (() => void)[];
}

/**
 * A cluster in one thread, in virtual time, from one seed: sessions that break and come back, messages late, lost and
 * twice, one-way cuts, kills with a restart from the disk, pauses, clocks that run apart. Checks at every step what must
 * always hold, and throws when it does not.
 */
export class ElectionSimulation {
  readonly nodes: readonly SimulatedNode[];
  readonly random: () => number;
  readonly leadersByTerm = new Map<number, PeerId>();
  messages = 0;
  #nowMs = 0;
  #order = 0;
  #session = 0;
  readonly #mode: Exclude<ElectionMode, 'forced'>;
  readonly #listsApart: boolean;
  loss: number;
  readonly #cuts = new Set<string>();
  readonly #due: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];

  constructor({ seed, nodes, mode, drift = 0.1, loss = 0.03, listsApart = false }: SimulationOptions) {
    this.random = seeded(seed);
    this.#mode = mode;
    this.#listsApart = listsApart;
    this.loss = loss;
    this.nodes = peerIds(nodes).map((id) => ({
      id,
      // Often as far off as it may be: what lies between is the easier case.
      rate: 1 + drift * Math.max(-1, Math.min(1, 3 * this.random() - 1.5)),
      state: undefined,
      record: undefined,
      pausedUntilMs: 0,
      named: undefined,
      sessions: new Map(),
      wakeToken: 0,
      backlog: [],
    }));
    for (const node of this.nodes) this.start(node);
    this.#redial();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Who may act as leader at this moment by its own clock. */
  acting(): readonly PeerId[] {
    return this.nodes.flatMap((node) => {
      const { state, id } = node;
      const isAwake = this.#nowMs >= node.pausedUntilMs;
      return state !== undefined && isAwake && leaseUntilMs(state) > this.#local(node) ? [id] : [];
    });
  }

  leading(): readonly SimulatedNode[] {
    return this.nodes.filter(({ state }) => state?.role === 'leader');
  }

  /** Whether all nodes that run say the same of who leads. */
  agreed(): PeerId | undefined {
    const states = this.nodes.flatMap(({ state }) => (state === undefined ? [] : [state]));
    const [first] = states;
    if (first?.leader == null || this.leading().length !== 1) return undefined;
    const all = states.every(({ leader, term }) => leader === first.leader && (this.#mode === 'auto' || term === first.term));
    return all ? first.leader : undefined;
  }

  at(afterMs: number, run: () => void): void {
    const due = { atMs: this.#nowMs + afterMs, order: this.#order++, run };
    let at = this.#due.length;
    while (at > 0 && later(this.#due[at - 1], due)) at -= 1;
    this.#due.splice(at, 0, due);
  }

  /** Moves time on; ends early when `until` holds. */
  run(forMs: number, until: () => boolean = () => false): void {
    const endMs = this.#nowMs + forMs;
    while (!until()) {
      const due = this.#due[0];
      if (due === undefined || due.atMs > endMs) {
        this.#nowMs = endMs;
        return;
      }
      this.#due.shift();
      this.#nowMs = due.atMs;
      due.run();
      this.#check();
    }
  }

  start(node: SimulatedNode): void {
    node.state = createElection(this.#setting(node), node.record, this.#local(node));
    node.pausedUntilMs = 0;
    this.take(node, { type: 'wake' });
  }

  /** Its trust file was changed: it names these voters, by their places. */
  name(node: SimulatedNode, voters: readonly number[]): void {
    node.named = voters;
    this.take(node, { type: 'setting', setting: this.#setting(node) });
  }

  /** Ends a process. `silent`: its sockets do not close, as when its machine loses power. */
  kill(node: SimulatedNode, { silent }: { readonly silent: boolean }): void {
    node.state = undefined;
    node.backlog.length = 0;
    node.sessions.clear();
    for (const other of this.nodes) {
      const session = other.sessions.get(node.id);
      if (session !== undefined)
        this.at(silent ? DEAD_AFTER_MS : 1 + 20 * this.random(), () => this.#down(other, node, session));
    }
  }

  /** Nothing runs in it for so long, and its peers give it up. */
  pause(node: SimulatedNode, forMs: number): void {
    if (node.state === undefined) return;
    node.pausedUntilMs = this.#nowMs + forMs;
    if (forMs > DEAD_AFTER_MS) {
      for (const other of this.nodes) {
        const session = other.sessions.get(node.id);
        if (session === undefined) continue;
        this.at(DEAD_AFTER_MS, () => this.#down(other, node, session));
        this.at(forMs + 300 * this.random(), () => this.#down(node, other, session));
      }
    }
    this.at(forMs, () => {
      for (const run of node.backlog.splice(0)) run();
      this.take(node, { type: 'wake' });
    });
  }

  /** Nothing gets from one node to another any more, until it is mended. */
  cut(from: SimulatedNode, to: SimulatedNode): void {
    this.#cuts.add(`${from.id}>${to.id}`);
    const session = to.sessions.get(from.id);
    if (session === undefined) return;
    this.at(DEAD_AFTER_MS, () => {
      if (!this.#cuts.has(`${from.id}>${to.id}`)) return;
      this.#down(to, from, session);
      this.at(this.#cuts.has(`${to.id}>${from.id}`) ? DEAD_AFTER_MS : 20, () => this.#down(from, to, session));
    });
  }

  /** Something in the way closes its sessions towards its peers at once, and lets it find out by the silence. */
  sever(node: SimulatedNode): void {
    for (const other of this.nodes) {
      if (other === node) continue;
      const session = other.sessions.get(node.id);
      this.cut(node, other);
      this.cut(other, node);
      if (session !== undefined) this.at(10 * this.random(), () => this.#down(other, node, session));
    }
  }

  /** Undoes every fault: what is cut, stands still or was killed. */
  mend(): void {
    this.#cuts.clear();
    for (const node of this.nodes) {
      if (node.state === undefined) this.start(node);
      if (node.pausedUntilMs > this.#nowMs) {
        node.pausedUntilMs = 0;
        for (const run of node.backlog.splice(0)) run();
      }
    }
  }

  take(node: SimulatedNode, event: ElectionEvent): void {
    if (node.state === undefined) return;
    if (this.#nowMs < node.pausedUntilMs) {
      if (event.type !== 'wake') node.backlog.push(() => this.take(node, event));
      return;
    }
    const { state, effects } = nextElection(node.state, event, this.#local(node));
    if (state.term < node.state.term) throw new Error(`a term went back from ${node.state.term} to ${state.term}`);
    node.state = state;
    for (const effect of effects) this.#do(node, effect);
  }

  #setting(node: SimulatedNode): ElectionSetting {
    const all = this.nodes.map(({ id }) => id);
    const voters = all.filter((_, place) => node.named?.includes(place) ?? true);
    return electionSetting({ self: node.id, mode: this.#mode, voters, members: all.filter((other) => other !== node.id) });
  }

  #do(node: SimulatedNode, effect: ElectionEffect): void {
    switch (effect.type) {
      case 'persist':
        if (effect.record.term < (node.record?.term ?? 0)) throw new Error('a lower term was persisted');
        node.record = effect.record;
        return;
      case 'send':
        this.#carry(node, effect.to, { type: 'request', from: node.id, request: effect.request });
        return;
      case 'answer':
        this.#carry(node, effect.to, { type: 'answer', from: node.id, answer: effect.answer });
        return;
      case 'wake': {
        node.wakeToken += 1;
        const token = node.wakeToken;
        const inMs = Math.max(0, effect.atMs - this.#local(node)) / node.rate;
        this.at(inMs + 1, () => {
          if (token === node.wakeToken) this.take(node, { type: 'wake' });
        });
        return;
      }
      case 'leading': {
        const known = this.leadersByTerm.get(effect.term);
        if (this.#mode === 'quorum' && !this.#listsApart && known !== undefined)
          throw new Error(`two leaders in term ${effect.term}`);
        this.leadersByTerm.set(effect.term, node.id);
        return;
      }
      case 'refused':
      case 'lost':
      case 'leader':
        return;
    }
  }

  #carry(from: SimulatedNode, toId: PeerId, event: ElectionEvent): void {
    const to = this.nodes.find(({ id }) => id === toId);
    const session = from.sessions.get(toId);
    if (to === undefined || session === undefined) return;
    this.messages += 1;
    const copies = this.random() < this.loss ? 0 : this.random() < this.loss ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const slow = this.random() < this.loss ? 3_000 : 20;
      this.at(1 + slow * this.random(), () => {
        if (to.sessions.get(from.id) !== session || this.#cuts.has(`${from.id}>${toId}`)) return;
        this.take(to, event);
      });
    }
  }

  #down(node: SimulatedNode, other: SimulatedNode, session: number): void {
    if (node.sessions.get(other.id) !== session) return;
    node.sessions.delete(other.id);
    this.take(node, { type: 'down', peer: other.id });
    const theirs = other.sessions.get(node.id);
    if (theirs === session && !this.#cuts.has(`${node.id}>${other.id}`)) this.at(10, () => this.#down(other, node, session));
  }

  #redial(): void {
    for (const [index, one] of this.nodes.entries()) {
      for (const other of this.nodes.slice(index + 1)) {
        const session = one.sessions.get(other.id);
        if (session !== undefined && other.sessions.get(one.id) === session) continue;
        const running = [one, other].every(({ state, pausedUntilMs }) => state !== undefined && pausedUntilMs <= this.#nowMs);
        const cut = this.#cuts.has(`${one.id}>${other.id}`) || this.#cuts.has(`${other.id}>${one.id}`);
        if (!running || cut || this.random() < 0.3) continue;
        this.#session += 1;
        one.sessions.set(other.id, this.#session);
        other.sessions.set(one.id, this.#session);
        const oneDialled = this.random() < 0.5;
        this.take(one, { type: 'up', peer: other.id, ask: oneDialled });
        this.take(other, { type: 'up', peer: one.id, ask: !oneDialled });
      }
    }
    this.at(REDIAL_MS, () => this.#redial());
  }

  #local(node: SimulatedNode): number {
    return this.#nowMs * node.rate;
  }

  #check(): void {
    if (this.#mode !== 'quorum' || this.leading().length < 2) return;
    const acting = this.acting();
    if (acting.length > 1) throw new Error(`at ${this.#nowMs} ms ${acting.length} nodes hold a lease: ${acting.join(', ')}`);
  }
}

function later(
  one: { readonly atMs: number; readonly order: number } | undefined,
  other: { readonly atMs: number; readonly order: number },
): boolean {
  return one !== undefined && (one.atMs > other.atMs || (one.atMs === other.atMs && one.order > other.order));
}
