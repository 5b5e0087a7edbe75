import { createHash } from 'node:crypto';
import type { ElectionView, PeerId, VoteAnswer } from '@skein/protocol';
import {
  ASK_MS,
  type ElectionAnswer,
  type ElectionRequest,
  GRANTED_MS,
  HEARSAY_MS,
  majorityOf,
  PROMISE_MS,
  RANK_MS,
  ROUNDS_MAX,
} from './election.ts';
import { adoptTerm, lead, mayGrowTo, refuse, stepDown, type Turn, updatePeer, withEntry } from './turn.ts';
import { isLonely, isOfOneMind, rivals } from './voters.ts';

type VoteAsked = Extract<ElectionRequest, { type: 'vote' }>;
type RenewAsked = Extract<ElectionRequest, { type: 'renew' }>;

/** The voters this node can reach that go by its list, itself among them when it is one; sorted. */
function votersUp({ state: { setting, peers } }: Turn): readonly PeerId[] {
  return setting.voters.filter((id) => {
    const peer = peers.get(id);
    return id === setting.self || (peer !== undefined && isOfOneMind(setting, peer));
  });
}

function isVoter({ state: { setting } }: Turn, id: PeerId): boolean {
  return setting.voters.includes(id);
}

/** Makes sure that a leader without its majority steps down, and that a voter without a leader asks for votes in time. */
export function settleQuorum(turn: Turn): void {
  const { state, nowMs } = turn;
  const { self, voters } = state.setting;
  forgetForeignLeader(turn);
  const up = votersUp(turn);
  const canWin = up.includes(self) && up.length >= majorityOf(voters) && !isLonely(state.setting);
  if (!canWin || rivals(state).length > 0) {
    stepDown(turn);
    return;
  }
  if (state.role !== 'follower' || (state.leader !== null && state.peers.has(state.leader))) return;
  state.campaignAtMs ??= Math.max(nowMs, state.holdUntilMs, promisedUntilMs(turn, self)) + patienceMs(turn);
}

/** One that is no voter here, or goes by another list, was elected by others. */
function forgetForeignLeader(turn: Turn): void {
  const { state } = turn;
  const { leader, setting } = state;
  if (leader === null || leader === setting.self) return;
  const peer = state.peers.get(leader);
  if (isVoter(turn, leader) && (peer === undefined || isOfOneMind(setting, peer))) return;
  state.leader = null;
  state.campaignAtMs = null;
}

/** The open question is given up, or a new one begins. */
export function wakeQuorum(turn: Turn): void {
  const { state, nowMs } = turn;
  if (state.campaignAtMs === null || nowMs < state.campaignAtMs) return;
  if (state.role !== 'follower') {
    giveUp(turn);
    return;
  }
  const waitMs = promisedUntilMs(turn, state.setting.self) - nowMs;
  if (waitMs > 0) state.campaignAtMs = nowMs + waitMs;
  else ask(turn, 'asking');
}

/** Begins a round of votes; the first only asks who would give one, so that nobody without a chance moves the term on. */
function ask(turn: Turn, role: 'asking' | 'candidate'): void {
  const { state, effects, nowMs } = turn;
  const { self, digest } = state.setting;
  const pre = role === 'asking';
  state.role = role;
  state.leader = null;
  state.votes = new Set([self]);
  state.denials = new Map();
  state.campaignAtMs = nowMs + ASK_MS;
  if (!pre) {
    state.term += 1;
    state.votedFor = self;
  }
  const term = pre ? state.term + 1 : state.term;
  for (const to of votersUp(turn)) {
    if (to !== self) effects.push({ type: 'send', to, request: { type: 'vote', term, pre, voters: digest } });
  }
  count(turn);
}

function count(turn: Turn): void {
  const { state } = turn;
  const { voters } = state.setting;
  if (state.votes.size >= majorityOf(voters)) {
    if (state.role === 'asking') ask(turn, 'candidate');
    else lead(turn, state.term);
  } else if (state.denials.size > voters.length - majorityOf(voters)) giveUp(turn);
}

/** Nobody was elected: it waits for what stood in the way, and in any case a little longer than before. */
function giveUp(turn: Turn): void {
  const { state, nowMs } = turn;
  const denials = [...state.denials.values()];
  stepDown(turn);
  state.attempt += 1;
  const leader = denials.find((denial) => denial.leader !== null)?.leader ?? null;
  if (leader !== null && !state.peers.has(leader)) {
    state.leader = leader;
    state.campaignAtMs = nowMs + HEARSAY_MS;
    return;
  }
  // It is here and was not heard to lead: it tells when it is asked.
  if (leader !== null) updatePeer(turn, leader, { told: 0, telling: null });
  const waitMs = Math.max(0, ...denials.map((denial) => denial.waitMs));
  state.campaignAtMs = nowMs + Math.min(waitMs, PROMISE_MS) + patienceMs(turn);
}

/** The lowest id first, then the others in their order; who failed waits longer, each for another time. */
function patienceMs(turn: Turn): number {
  const { term, attempt, setting } = turn.state;
  const chance = createHash('sha256').update(`${setting.self}\n${term}\n${attempt}`).digest().readUInt16BE() / 0x1_0000;
  const rank = votersUp(turn).indexOf(setting.self);
  return rank * RANK_MS + chance * (RANK_MS / 2 + Math.min(attempt, 8) * 3 * RANK_MS);
}

/** Until when this voter owes its vote to somebody else than `to`. */
function promisedUntilMs({ state: { promise } }: Turn, to: PeerId): number {
  return promise === null || promise.to === to ? Number.NEGATIVE_INFINITY : promise.untilMs;
}

export function answerVote(turn: Turn, from: PeerId, asked: VoteAsked): ElectionAnswer {
  const denied = denialOf(turn, from, asked);
  const granted = denied === undefined;
  if (granted) grant(turn, from, asked);
  const { term } = turn.state;
  return { type: 'vote', granted, term, leader: null, waitMs: 0, ...denied, asked: { term: asked.term, pre: asked.pre } };
}

/** Why this node gives no vote; undefined when it does. */
function denialOf(turn: Turn, from: PeerId, asked: VoteAsked): Partial<VoteAnswer> | undefined {
  const { state, nowMs } = turn;
  const { self, digest } = state.setting;
  if (!isVoter(turn, from)) {
    refuse(turn, from, 'it asks for a vote and is no voter');
    return {};
  }
  if (!isVoter(turn, self) || asked.voters !== digest || rivals(state).length > 0) return {};
  if (!mayGrowTo(turn, asked.term)) {
    refuse(turn, from, `it would move the term on by ${asked.term - state.term}`);
    return {};
  }
  // One that asks does not lead, whatever was heard of it before.
  if (state.leader === from && asked.term > state.term) state.leader = null;
  const { leader } = state;
  if (leader !== null && leader !== from && (leader === self || state.peers.has(leader))) return { leader };
  const waitMs = Math.max(state.holdUntilMs, promisedUntilMs(turn, from)) - nowMs;
  if (waitMs > 0) return { waitMs: Math.ceil(waitMs) };
  if (asked.pre) return asked.term > state.term ? undefined : {};
  if (asked.term < state.term) return {};
  return asked.term > state.term || state.votedFor === null || state.votedFor === from ? undefined : {};
}

function grant(turn: Turn, from: PeerId, asked: VoteAsked): void {
  const { state, nowMs } = turn;
  if (asked.pre) {
    // Both would split the votes: the higher id lets the lower one go first.
    if (state.role === 'asking' && from < state.setting.self) {
      stepDown(turn);
      state.campaignAtMs = nowMs + ASK_MS + patienceMs(turn);
    }
    return;
  }
  adoptTerm(turn, asked.term, from);
  stepDown(turn);
  state.votedFor = from;
  state.leader = null;
  state.campaignAtMs = nowMs + GRANTED_MS + patienceMs(turn);
}

export function hearVote(turn: Turn, from: PeerId, answer: Extract<ElectionAnswer, { type: 'vote' }>): void {
  const { state } = turn;
  const { asked } = answer;
  if (!isVoter(turn, from)) return;
  if (answer.term > state.term && !answer.granted) {
    if (adoptTerm(turn, answer.term, from)) state.campaignAtMs = turn.nowMs + patienceMs(turn);
    return;
  }
  const isOpen = state.role === (asked.pre ? 'asking' : 'candidate') && asked.term === state.term + (asked.pre ? 1 : 0);
  if (!isOpen) return;
  if (answer.granted) state.votes = new Set([...state.votes, from]);
  else if (!state.votes.has(from)) state.denials = withEntry(state.denials, from, answer);
  count(turn);
}

/** What another node says of who leads. Only a voter's claim for itself counts. */
export function hearView(turn: Turn, from: PeerId, view: ElectionView): void {
  const { state } = turn;
  if (!isVoter(turn, from)) {
    if (view.leader === from) refuse(turn, from, 'it claims to lead and is no voter');
    return;
  }
  // One that finds its leader in another way speaks of another leadership.
  if (view.mode !== 'quorum') return;
  const { promise } = state;
  if (promise !== null && promise.to === from && view.resigned >= promise.term) state.promise = null;
  if (state.leader === from && view.leader !== from && view.resigned >= state.term) {
    state.leader = null;
    state.campaignAtMs = null;
  }
  // Nor does one with another list of voters; what it gave up, it gave up.
  if (view.voters !== state.setting.digest) {
    if (view.leader === from) refuse(turn, from, 'it claims to lead by another list of voters');
    return;
  }
  if (view.leader === from) follow(turn, from, view.term);
  else if (view.term > state.term && adoptTerm(turn, view.term, from)) state.campaignAtMs = null;
}

/** Takes a voter for the leader of a term. False when it is not. */
function follow(turn: Turn, leader: PeerId, term: number): boolean {
  const { state } = turn;
  if (term < state.term || term < 1) return false;
  if (term > state.term && !adoptTerm(turn, term, leader)) return false;
  const known = state.leader;
  if (known !== null && known !== leader && (known === state.setting.self || state.peers.has(known))) {
    refuse(turn, leader, `it claims the term ${term}, which another has`);
    return false;
  }
  stepDown(turn);
  state.leader = leader;
  state.attempt = 0;
  return true;
}

export function answerRenew(turn: Turn, from: PeerId, { term, voters, round }: RenewAsked): ElectionAnswer {
  const { state, nowMs } = turn;
  const { self, digest } = state.setting;
  let granted = false;
  if (!isVoter(turn, from)) refuse(turn, from, 'it claims to lead and is no voter');
  else if (isVoter(turn, self) && voters === digest && rivals(state).length === 0 && promisedUntilMs(turn, from) <= nowMs) {
    granted = follow(turn, from, term);
  }
  if (granted) state.promise = { to: from, term, untilMs: nowMs + PROMISE_MS };
  return { type: 'renew', granted, term: state.term, asked: round };
}

/** The leader asks all voters for a promise. */
export function renew(turn: Turn): void {
  const { state, effects, nowMs } = turn;
  const { self, digest } = state.setting;
  state.round += 1;
  const open = [...state.rounds, [state.round, nowMs] as const];
  state.rounds = new Map(open.slice(-ROUNDS_MAX));
  for (const to of votersUp(turn)) {
    if (to === self) continue;
    effects.push({ type: 'send', to, request: { type: 'renew', term: state.term, voters: digest, round: state.round } });
  }
}

export function hearRenew(turn: Turn, from: PeerId, answer: Extract<ElectionAnswer, { type: 'renew' }>): void {
  const { state } = turn;
  if (!isVoter(turn, from)) return;
  if (answer.term > state.term) {
    adoptTerm(turn, answer.term, from);
    return;
  }
  const sentAtMs = state.rounds.get(answer.asked);
  if (state.role !== 'leader' || !answer.granted || answer.term !== state.term || sentAtMs === undefined) return;
  state.renewed = withEntry(state.renewed, from, Math.max(sentAtMs, state.renewed.get(from) ?? sentAtMs));
}
