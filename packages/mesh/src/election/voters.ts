import type { ElectionView, PeerId } from '@skein/protocol';
import { type ElectionPeer, type ElectionSetting, type ElectionState, majorityOf } from './election.ts';
import { digestOf } from './voter-digest.ts';

/** The only voter by its own list, of a node that knows others: they may each have such a list, so it is no majority. */
export function isLonely({ self, mode, voters, alone }: ElectionSetting): boolean {
  return mode === 'quorum' && !alone && voters.length === 1 && voters[0] === self;
}

/** Whether a peer goes by the same list of voters; one that has not spoken yet is taken to. */
export function isOfOneMind({ digest }: ElectionSetting, { said }: ElectionPeer): boolean {
  return said === null || (said.mode === 'quorum' && said.voters === digest);
}

/** The voters that a peer names; undefined when it says no such list, or another one than it votes by. */
export function votersOf(id: PeerId, { voters, list }: ElectionView): readonly PeerId[] | undefined {
  const lists = [[], [id], ...(list === undefined ? [] : [[...list].sort()])];
  return lists.find((one) => digestOf(one) === voters);
}

/**
 * The voters here that name another list, by which somebody could be elected as far as this node knows: while there is one
 * it takes no part, or each list could have its leader.
 */
export function rivals(state: ElectionState): readonly PeerId[] {
  const { setting, peers } = state;
  return setting.voters.filter((id) => {
    const peer = peers.get(id);
    if (peer === undefined || peer.said === null || isOfOneMind(setting, peer)) return false;
    const { said } = peer;
    if (said.mode !== 'quorum' || said.voters === '') return false;
    const list = votersOf(id, said);
    return list === undefined || (list.length > 1 && couldElect(state, list, said.voters));
  });
}

/** Whether those that may go by this list make a majority of it; this node goes by another. One voter alone does not lead. */
function couldElect({ setting, peers }: ElectionState, list: readonly PeerId[], digest: string): boolean {
  const open = list.filter((id) => {
    const said = peers.get(id)?.said ?? null;
    return id !== setting.self && (said === null || (said.mode === 'quorum' && said.voters === digest));
  });
  return open.length >= majorityOf(list);
}
