import type { PeerId } from '@skein/protocol';
import { answers, type ElectionState, majorityOf } from './election.ts';

/** What a person should know of how this node's leader is found, in a sentence or two. */
export function describeElection(state: ElectionState, nameOf: (id: PeerId) => string): string {
  const sentences = [...modeSentences(state, nameOf), ...disagreements(state, nameOf)];
  return sentences.join(' ');
}

function modeSentences(state: ElectionState, nameOf: (id: PeerId) => string): string[] {
  const { setting, leader, peers } = state;
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
      const up = voters.filter((id) => id === self || peers.has(id)).length;
      const needed = majorityOf(voters);
      const sentences = [`Elected by ${needed} of ${voters.length} voters; ${up} of them can be reached.`];
      if (up < needed) sentences.push('That is no majority, so this node follows nobody new.');
      if (voters.length === 2) {
        sentences.push('With two voters there is no leader when one is away: make a third node a voter, as a witness.');
      } else if (voters.length % 2 === 0) sentences.push('An odd number of voters stands as many failures with one node less.');
      return sentences;
    }
  }
}

function disagreements({ setting, peers, term }: ElectionState, nameOf: (id: PeerId) => string): string[] {
  return [...peers].flatMap(([id, peer]) => {
    if (!answers(peer)) return [];
    const { said } = peer;
    if (said.mode !== setting.mode) return [`${nameOf(id)} finds its leader in another way (${said.mode}).`];
    if (setting.voters.includes(id) && said.voters !== setting.digest) {
      return [`${nameOf(id)} has another list of voters, so neither gives the other its vote.`];
    }
    const rival = said.leader === id && said.leads !== false && said.term >= term && said.leader !== setting.self;
    return rival && setting.mode === 'auto' && !setting.members.has(id)
      ? [`${nameOf(id)} leads itself and may not lead here.`]
      : [];
  });
}
