import type { PeerId } from '@skein/protocol';
import {
  type ElectionEffect,
  type ElectionPeer,
  type ElectionState,
  TERM_GROWTH_MAX,
  TERM_GROWTH_PAUSE_MS,
} from './election.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One event being worked on: a copy of the state, and what is to be done. Maps in it are replaced, never written to. */
export interface Turn {
  readonly state: Mutable<ElectionState>;
  readonly effects: ElectionEffect[];
  readonly nowMs: number;
}

/** A copy of a map with one entry more, or less. */
export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V | undefined): ReadonlyMap<K, V> {
  const copy = new Map(map);
  if (value === undefined) copy.delete(key);
  else copy.set(key, value);
  return copy;
}

/** Changes what is known of a peer that has a session; nothing for one that has none. */
export function updatePeer({ state }: Turn, id: PeerId, change: Partial<ElectionPeer>): void {
  const peer = state.peers.get(id);
  if (peer !== undefined) state.peers = withEntry(state.peers, id, { ...peer, ...change });
}

export function refuse({ effects }: Turn, peer: PeerId, reason: string): void {
  effects.push({ type: 'refused', peer, reason });
}

/** A peer that is up, heard of nothing, and said nothing. */
export const NEW_PEER: ElectionPeer = { said: null, told: 0, telling: null, misses: 0 };

/** Ends this node's own leadership, or its try to get one. */
export function stepDown({ state }: Turn): void {
  if (state.role === 'leader') {
    state.resigned = state.term;
    state.renewed = new Map();
    state.rounds = new Map();
  }
  if (state.leader === state.setting.self) state.leader = null;
  state.role = 'follower';
  state.campaignAtMs = null;
}

/** Whether others may move the term on to this one now: bounded, so that a forged number cannot use the numbers up. */
export function mayGrowTo({ state, nowMs }: Turn, term: number): boolean {
  const growth = term - state.term;
  return growth <= 1 || (growth <= TERM_GROWTH_MAX && nowMs - state.grewAtMs >= TERM_GROWTH_PAUSE_MS);
}

/**
 * Takes a higher term over from a peer that may set one, which ends what this node was in its own. False when it grows too
 * much.
 */
export function adoptTerm(turn: Turn, term: number, from: PeerId): boolean {
  const { state, nowMs } = turn;
  if (term <= state.term) return true;
  if (!mayGrowTo(turn, term)) {
    refuse(turn, from, `it would move the term on by ${term - state.term}`);
    return false;
  }
  stepDown(turn);
  state.term = term;
  state.votedFor = null;
  state.leader = null;
  state.grewAtMs = nowMs;
  return true;
}

/** This node leads, in a term of its own. */
export function lead(turn: Turn, term: number): void {
  const { state } = turn;
  state.term = term;
  state.role = 'leader';
  state.leader = state.setting.self;
  state.campaignAtMs = null;
  state.attempt = 0;
  state.renewed = new Map();
  state.rounds = new Map();
}
