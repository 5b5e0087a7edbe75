import type { PeerId } from '@skein/protocol';
import { answers, type ElectionState, majorityOf } from './election.ts';
import { isLonely, isOfOneMind, rivals, votersOf } from './voters.ts';

type NameOf = (id: PeerId) => string;

const NAME_VOTERS =
  'name the same voters on every node: skein net trust <name or key line> --voter, or --no-voter; a node that is not to vote itself has net.voter false';

/** What a person should know of how this node's leader is found, in a sentence or two. */
export function describeElection(state: ElectionState, nameOf: NameOf): string {
  const sentences = [...modeSentences(state, nameOf), ...disagreements(state, nameOf)];
  return sentences.join(' ');
}

/** What a person should do so that the nodes elect one leader by their votes; null where there is nothing to do. */
export function adviseElection(state: ElectionState): string | null {
  const { setting, peers } = state;
  if (setting.mode !== 'quorum') return null;
  if (isLonely(setting)) return `${NAME_VOTERS}; or, where one is to lead alone, set net.leader to its name`;
  const differs = [...peers.values()].some((peer) => peer.said?.mode === 'quorum' && !isOfOneMind(setting, peer));
  return setting.voters.length === 0 || differs ? NAME_VOTERS : null;
}

function modeSentences(state: ElectionState, nameOf: NameOf): string[] {
  const { setting, leader } = state;
  const { self, voters } = setting;
  switch (setting.mode) {
    case 'auto': {
      const rule = 'The lowest id that answers leads; while the network is cut in two, each part has a leader of its own.';
      return leader === null ? ['Nobody leads yet: a node that starts first looks for a lower id, for 5 s.', rule] : [rule];
    }
    case 'forced': {
      if (setting.forced === undefined) return ['Nobody leads: no trusted key has the configured name.'];
      const missing = leader === null ? ' Nobody leads while it is away.' : '';
      return [`Only ${nameOf(setting.forced)} ever leads.${missing}`];
    }
    case 'quorum': {
      if (voters.length === 0) return ['Nobody leads: no key is marked as a voter.'];
      if (isLonely(setting)) {
        return [
          'Nobody leads: this node names no voter but itself and trusts others, each of which could elect itself as well.',
        ];
      }
      const up = voters.filter((id) => id === self || isUp(state, id)).length;
      const needed = majorityOf(voters);
      const sentences = [`Elected by ${needed} of ${voters.length} voters; ${up} of them can be reached and name the same.`];
      if (up < needed) sentences.push('That is no majority, so this node follows nobody new.');
      if (voters.length === 2) {
        sentences.push('With two voters there is no leader when one is away: make a third node a voter, as a witness.');
      } else if (voters.length % 2 === 0) sentences.push('An odd number of voters stands as many failures with one node less.');
      const against = rivals(state).map(nameOf);
      if (against.length > 0) {
        sentences.push(`This node neither votes nor leads while ${listed(against)} could be led by other voters.`);
      }
      return sentences;
    }
  }
}

function isUp({ setting, peers }: ElectionState, id: PeerId): boolean {
  const peer = peers.get(id);
  return peer !== undefined && isOfOneMind(setting, peer);
}

function disagreements(state: ElectionState, nameOf: NameOf): string[] {
  const { setting, peers, term } = state;
  return [...peers].flatMap(([id, peer]) => {
    if (!answers(peer)) return [];
    const { said } = peer;
    if (said.mode !== setting.mode) return [`${nameOf(id)} finds its leader in another way (${said.mode}).`];
    if (setting.mode === 'quorum') return isOfOneMind(setting, peer) ? [] : [difference(state, id, nameOf)];
    const rival = said.leader === id && said.leads !== false && said.term >= term && said.leader !== setting.self;
    return rival && setting.mode === 'auto' && !setting.members.has(id)
      ? [`${nameOf(id)} leads itself and may not lead here.`]
      : [];
  });
}

/** How the list of voters of a peer is another, and what comes of it. */
function difference({ setting, peers }: ElectionState, id: PeerId, nameOf: NameOf): string {
  const said = peers.get(id)?.said ?? null;
  const theirs = said === null ? undefined : votersOf(id, said);
  // By a list of one nobody leads.
  const isSame = setting.voters.includes(id) || (theirs !== undefined && (theirs.length < 2 || theirs.includes(setting.self)));
  const effect = isSame ? 'so neither gives the other its vote' : 'so each may have a leader of its own';
  const head = `${nameOf(id)} has another list of voters, ${effect}`;
  if (theirs === undefined) return `${head}.`;
  const who = (one: PeerId) => (one === id ? 'itself' : one === setting.self ? 'this node' : nameOf(one));
  const missing = setting.voters.filter((one) => !theirs.includes(one)).map(who);
  const surplus = theirs.filter((one) => !setting.voters.includes(one)).map(who);
  const parts = [
    ...(missing.length === 0 ? [] : [`does not name ${listed(missing)}`]),
    ...(surplus.length === 0 ? [] : [`names ${listed(surplus)}, as this node does not`]),
  ];
  return `${head}: it ${parts.join(', and ')}.`;
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
