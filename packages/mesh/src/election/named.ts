import type { ElectionView, PeerId } from '@skein/protocol';
import { answers, SETTLE_MS } from './election.ts';
import { adoptTerm, lead, mayGrowTo, refuse, stepDown, type Turn, updatePeer } from './turn.ts';

/** `auto`: finds the lowest id among those that answer, as this node and those it sees see it. */
export function settleAuto(turn: Turn): void {
  const { state, nowMs } = turn;
  const { self, members } = state.setting;
  const heard = [...state.peers].flatMap(([id, peer]) =>
    members.has(id) && answers(peer) && peer.said.mode === 'auto' ? [{ id, said: peer.said }] : [],
  );
  // When all that may lead here have told their view, there is no lower id left to wait for.
  if (heard.length === members.size) state.settledAtMs = Math.min(state.settledAtMs, nowMs);
  const own = nowMs >= state.settledAtMs ? [self] : [];
  state.lowest = lowestOf([...own, ...heard.map(({ id }) => id)]);
  // Those it sees may see a lower one: nodes that only meet in the middle so still have one leader.
  const beyond = heard.flatMap(({ said: { leader } }) =>
    leader !== null && leader !== self && members.has(leader) ? [leader] : [],
  );
  const first = lowestOf([...(state.lowest === null ? [] : [state.lowest]), ...beyond]);
  const highest = Math.max(0, ...heard.map(({ said }) => said.term).filter((term) => mayGrowTo(turn, term)));
  if (first !== self) {
    stepDown(turn);
    // What it says itself, or else one that sees it: it may be the one to lead and not lead yet.
    const said = heard.find(({ id }) => id === first) ?? heard.find((peer) => peer.said.leader === first && leads(peer));
    if (said !== undefined) adoptTerm(turn, said.said.term, said.id);
    state.leader = said?.said.leader === first && leads(said) ? first : null;
  } else if (state.role !== 'leader' || highest > state.term) {
    // A higher term: another led meanwhile, where this node was not seen.
    if (highest > state.term) state.grewAtMs = turn.nowMs;
    lead(turn, Math.max(state.term, highest) + 1);
  }
}

/** `auto`: nothing ran here for a while, and the others may have another leader: they are asked before it leads again. */
export function stoodStill(turn: Turn): void {
  const { state, nowMs } = turn;
  if (state.setting.mode !== 'auto') return;
  state.settledAtMs = nowMs + SETTLE_MS;
  for (const id of state.peers.keys()) updatePeer(turn, id, { said: null, told: 0, telling: null });
}

/** `forced`: the named one leads, and nobody else ever does. */
export function settleForced(turn: Turn): void {
  const { state } = turn;
  const { self, forced } = state.setting;
  if (forced === self) {
    if (state.role !== 'leader') lead(turn, state.term + 1);
    return;
  }
  stepDown(turn);
  const peer = forced === undefined ? undefined : state.peers.get(forced);
  const isLed = forced !== undefined && peer !== undefined && answers(peer) && peer.said.leader === forced;
  if (isLed) adoptTerm(turn, peer.said.term, forced);
  state.leader = isLed && leads({ id: forced, said: peer.said }) ? forced : null;
}

/** `forced`: a claim of anybody but the named one is only told of. */
export function heardForced(turn: Turn, from: PeerId, leader: PeerId | null): void {
  const { forced } = turn.state.setting;
  if (leader === from && from !== forced) refuse(turn, from, 'it claims to lead, which the configuration gives to another');
}

/** Whether the leader in a view leads, and is not only the one to: a leadership has a term from 1. */
function leads({ id, said }: { readonly id: PeerId; readonly said: ElectionView }): boolean {
  return said.term >= 1 && (said.leads ?? said.leader === id);
}

function lowestOf(ids: readonly PeerId[]): PeerId | null {
  return ids.reduce<PeerId | null>((lowest, id) => (lowest === null || id < lowest ? id : lowest), null);
}
