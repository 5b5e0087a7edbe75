import type { PeerId } from '@skein/protocol';
import {
  type ElectionAnswer,
  type ElectionEffect,
  type ElectionEvent,
  type ElectionSetting,
  type ElectionState,
  LOOK_MS,
  MISSES_MAX,
  SILENT_LOOK_MS,
  STOOD_STILL_MS,
  toldList,
} from './election.ts';
import { heardForced, settleAuto, settleForced, stoodStill } from './named.ts';
import { answerRenew, answerVote, hearRenew, hearView, hearVote, renew, settleQuorum, wakeQuorum } from './quorum.ts';
import { NEW_PEER, refuse, stepDown, type Turn, updatePeer, withEntry } from './turn.ts';

/**
 * What an event at a time makes of a state, and what is to be done then, in order. Times are of one monotonic clock. Reads
 * nothing else: the same events at the same times end the same.
 */
export function next(
  before: ElectionState,
  event: ElectionEvent,
  nowMs: number,
): { readonly state: ElectionState; readonly effects: readonly ElectionEffect[] } {
  const turn: Turn = { state: { ...before }, effects: [], nowMs };
  const { state, effects } = turn;
  if (nowMs - state.seenAtMs > STOOD_STILL_MS) stoodStill(turn);
  state.seenAtMs = nowMs;
  const reply = take(turn, event);
  if (event.type === 'resign') stepDown(turn);
  else settle(turn);
  renewView(turn);
  if (reply !== undefined) answer(turn, reply);
  for (const id of state.peers.keys()) tell(turn, id);
  return { state, effects: [...told(before, state), ...effects, { type: 'wake', atMs: wakeAtMs(state) }] };
}

interface Reply {
  readonly to: PeerId;
  /** The number of a view, to be answered with this node's own, as that is when everything else has been done. */
  readonly answer: ElectionAnswer | number;
}

function take(turn: Turn, event: ElectionEvent): Reply | undefined {
  const { state } = turn;
  switch (event.type) {
    case 'up':
      // The side that was dialled waits to be told; should that not come, it asks when it looks around.
      state.peers = withEntry(state.peers, event.peer, {
        ...NEW_PEER,
        telling: event.ask ? null : { seq: 0, atMs: turn.nowMs },
      });
      if (state.leader === event.peer) state.leader = null;
      return undefined;
    case 'down':
      state.peers = withEntry(state.peers, event.peer, undefined);
      if (state.leader === event.peer) {
        state.leader = null;
        state.campaignAtMs = null;
      }
      return undefined;
    case 'request':
      return takeRequest(turn, event);
    case 'answer':
      takeAnswer(turn, event.from, event.answer);
      return undefined;
    case 'silent':
      updatePeer(turn, event.peer, { misses: MISSES_MAX });
      return undefined;
    case 'wake':
      if (turn.nowMs >= state.lookAtMs) look(turn);
      if (state.setting.mode === 'quorum') wakeQuorum(turn);
      return undefined;
    case 'renew':
      if (state.setting.mode === 'quorum' && state.role === 'leader') renew(turn);
      return undefined;
    case 'resign':
      return undefined;
    case 'setting':
      takeSetting(turn, event.setting);
      return undefined;
  }
}

function takeSetting(turn: Turn, setting: ElectionSetting): void {
  const { state } = turn;
  const { mode, digest } = state.setting;
  state.setting = setting;
  if (setting.mode === mode && setting.digest === digest) return;
  stepDown(turn);
  if (setting.mode !== 'quorum') return;
  // What was said to the voters of another list is not said again.
  for (const [id, { said }] of state.peers) if (said !== null) hearView(turn, id, said);
}

function takeRequest(turn: Turn, { from, request }: Extract<ElectionEvent, { type: 'request' }>): Reply {
  const { mode } = turn.state.setting;
  switch (request.type) {
    case 'state':
      heard(turn, from, request.view);
      return { to: from, answer: request.view.seq };
    case 'vote':
      if (mode === 'quorum') return { to: from, answer: answerVote(turn, from, request) };
      refuse(turn, from, 'it asks for a vote, and nobody votes here');
      return {
        to: from,
        answer: {
          type: 'vote',
          granted: false,
          term: turn.state.term,
          leader: null,
          waitMs: 0,
          asked: { term: request.term, pre: request.pre },
        },
      };
    case 'renew':
      if (mode === 'quorum') return { to: from, answer: answerRenew(turn, from, request) };
      refuse(turn, from, 'it claims to have been elected, and nobody votes here');
      return { to: from, answer: { type: 'renew', granted: false, term: turn.state.term, asked: request.round } };
  }
}

function takeAnswer(turn: Turn, from: PeerId, given: ElectionAnswer): void {
  switch (given.type) {
    case 'state': {
      const peer = turn.state.peers.get(from);
      if (peer === undefined) return;
      updatePeer(turn, from, {
        misses: 0,
        ...(peer.telling?.seq === given.asked ? { told: given.asked, telling: null } : {}),
      });
      heard(turn, from, given.view);
      return;
    }
    case 'vote':
      hearVote(turn, from, given);
      return;
    case 'renew':
      hearRenew(turn, from, given);
      return;
  }
}

function heard(turn: Turn, from: PeerId, view: Parameters<typeof hearView>[2]): void {
  const peer = turn.state.peers.get(from);
  if (peer === undefined) return; // Its session has ended, and what it says with it.
  if (peer.said !== null && view.seq < peer.said.seq) return;
  updatePeer(turn, from, { said: view, misses: 0 });
  switch (turn.state.setting.mode) {
    case 'auto':
      return;
    case 'forced':
      heardForced(turn, from, view.leader);
      return;
    case 'quorum':
      hearView(turn, from, view);
      return;
  }
}

function settle(turn: Turn): void {
  switch (turn.state.setting.mode) {
    case 'auto':
      settleAuto(turn);
      return;
    case 'forced':
      settleForced(turn);
      return;
    case 'quorum':
      settleQuorum(turn);
      return;
  }
}

/** Who has not answered is asked again. */
function look(turn: Turn): void {
  const { state, nowMs } = turn;
  state.lookAtMs = nowMs + LOOK_MS;
  for (const [id, { telling, misses }] of state.peers) {
    if (telling === null || nowMs - telling.atMs < (misses < MISSES_MAX ? LOOK_MS : SILENT_LOOK_MS)) continue;
    updatePeer(turn, id, { telling: null, misses: telling.seq === 0 ? misses : Math.min(misses + 1, MISSES_MAX) });
  }
}

/** Tells a peer what it has not heard, one thing at a time. */
function tell(turn: Turn, id: PeerId): void {
  const { state, effects, nowMs } = turn;
  const peer = state.peers.get(id);
  if (peer === undefined || peer.telling !== null) return;
  const { view } = state;
  if (peer.told === view.seq) return;
  updatePeer(turn, id, { telling: { seq: view.seq, atMs: nowMs } });
  effects.push({ type: 'send', to: id, request: { type: 'state', view } });
}

function answer(turn: Turn, { to, answer: given }: Reply): void {
  if (typeof given !== 'number') {
    turn.effects.push({ type: 'answer', to, answer: given });
    return;
  }
  const { view } = turn.state;
  updatePeer(turn, to, { told: view.seq, telling: null });
  turn.effects.push({ type: 'answer', to, answer: { type: 'state', view, asked: given } });
}

/** Says anew what there is to say, when that is something else than before. */
function renewView({ state }: Turn): void {
  const { setting, term, leader, lowest, resigned, peers, view } = state;
  const seen = leader === setting.self || (leader !== null && peers.has(leader)) ? leader : null;
  const shown = setting.mode === 'auto' ? lowest : seen;
  const said = {
    mode: setting.mode,
    term,
    leader: shown,
    leads: shown !== null && shown === leader,
    resigned,
    voters: setting.digest,
    ...toldList(setting),
  };
  const isSame =
    view.term === said.term &&
    view.leader === said.leader &&
    view.leads === said.leads &&
    view.resigned === said.resigned &&
    view.mode === said.mode &&
    view.voters === said.voters;
  if (!isSame) state.view = { seq: view.seq + 1, ...said };
}

/** What the world is to know of the difference; first of all the disk. */
function told(before: ElectionState, after: ElectionState): ElectionEffect[] {
  const { term, votedFor, leader } = after;
  const effects: ElectionEffect[] = [];
  const isNew = term !== before.term;
  if (isNew || votedFor !== before.votedFor) effects.push({ type: 'persist', record: { term, votedFor } });
  if (before.role === 'leader' && (after.role !== 'leader' || isNew)) effects.push({ type: 'lost', term: before.term });
  if (after.role === 'leader' && (before.role !== 'leader' || isNew)) effects.push({ type: 'leading', term });
  if (leader !== before.leader || (leader !== null && isNew)) effects.push({ type: 'leader', leader, term });
  return effects;
}

function wakeAtMs({ lookAtMs, campaignAtMs, settledAtMs, seenAtMs, setting }: ElectionState): number {
  const settles = setting.mode === 'auto' && settledAtMs > seenAtMs ? settledAtMs : Number.POSITIVE_INFINITY;
  return Math.min(lookAtMs, settles, campaignAtMs ?? Number.POSITIVE_INFINITY);
}
