import { adviseElection, describeElection, type ElectionState, majorityOf, type Peer } from '@skein/mesh';
import type { ElectionMode, PeerId } from '@skein/protocol';

/** Who leads, as this node sees it. */
export interface LeadershipStatus {
  readonly mode: ElectionMode;
  readonly leader: { readonly id: PeerId; readonly name: string } | null;
  readonly term: number;
  readonly isMe: boolean;
  /** In `quorum`, the voters; `connected` is true of this node itself. */
  readonly voters: readonly { readonly id: PeerId; readonly name: string; readonly connected: boolean }[];
  /** With two voters, neither can be spared. */
  readonly witnessNeeded: boolean;
  /** There can be two leaders, or none where one was meant, without anything being broken. */
  readonly bestEffort: boolean;
  /** What a person should know of it, in words. */
  readonly note: string;
  /** What to do so that the voters elect one leader; null where nothing is to be done. */
  readonly fix: string | null;
}

/** The right to act as leader, for as long as `check` does not throw. */
export interface Fence {
  /** Grows with each leadership: what acted under a lower one comes too late. */
  readonly term: number;
  /**
   * To be called right before an effect, with nothing waited for in between.
   * @throws SkeinError `conflict` when another leadership began, `unavailable` when the lease may have run out.
   */
  check(): void;
}

/** The peers that must have noted something before the leader acts on it, and how many of them. */
export interface Witnesses {
  readonly mode: ElectionMode;
  /** Those that can be asked now. */
  readonly peers: readonly Peer[];
  readonly needed: number;
  /** How many there are, away or not. */
  readonly all: number;
  /** Whether what this node has noted itself counts as much as a witness's word. */
  readonly selfCounts: boolean;
}

/** Who leads, from the state of the election. */
export function leadershipStatusOf(state: ElectionState, nameOf: (id: PeerId) => string): LeadershipStatus {
  const { setting, leader, term, peers } = state;
  const voters = setting.voters.map((id) => ({ id, name: nameOf(id), connected: id === setting.self || peers.has(id) }));
  return {
    mode: setting.mode,
    leader: leader === null ? null : { id: leader, name: nameOf(leader) },
    term,
    isMe: state.role === 'leader',
    voters,
    witnessNeeded: setting.voters.length === 2,
    bestEffort: setting.mode === 'auto',
    note: describeElection(state, nameOf),
    fix: adviseElection(state),
  };
}

/** As `Leadership.witnesses`, with the sessions there are now. */
export function witnessesOf({ setting, peers }: ElectionState, sessions: ReadonlyMap<PeerId, Peer>): Witnesses {
  const connected = (ids: Iterable<PeerId>) => [...ids].flatMap((id) => sessions.get(id) ?? []);
  switch (setting.mode) {
    case 'forced':
      return { mode: 'forced', peers: [], needed: 0, all: 0, selfCounts: true };
    case 'quorum': {
      const selfCounts = setting.voters.includes(setting.self);
      const own = selfCounts ? 1 : 0;
      return {
        mode: 'quorum',
        peers: connected(setting.voters),
        needed: majorityOf(setting.voters) - own,
        all: setting.voters.length - own,
        selfCounts,
      };
    }
    case 'auto': {
      const members = [...peers].flatMap(([id, { said }]) => (setting.members.has(id) && said?.mode === 'auto' ? [id] : []));
      return { mode: 'auto', peers: connected(members), needed: members.length, all: members.length, selfCounts: true };
    }
  }
}
