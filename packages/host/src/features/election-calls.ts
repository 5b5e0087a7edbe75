import type { ElectionAnswer, ElectionRequest, Peer } from '@skein/mesh';
import { leaderRenew, leaderState, leaderVote } from '@skein/protocol';

/** How long a peer may take to answer; it is asked again later. */
const ANSWER_MS = 5_000;

/** One message of an election over a session, and its answer with what it answers. @throws what the call throws. */
export async function askElection(peer: Peer, request: ElectionRequest): Promise<ElectionAnswer> {
  const options = { timeoutMs: ANSWER_MS };
  switch (request.type) {
    case 'state': {
      const { view } = request;
      return { type: 'state', view: await peer.call(leaderState, view, options), asked: view.seq };
    }
    case 'vote': {
      const { term, pre, voters } = request;
      return { type: 'vote', ...(await peer.call(leaderVote, { term, pre, voters }, options)), asked: { term, pre } };
    }
    case 'renew': {
      const { term, voters, round } = request;
      return { type: 'renew', ...(await peer.call(leaderRenew, { term, voters }, options)), asked: round };
    }
  }
}
