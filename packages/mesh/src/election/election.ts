import {
  type ElectionMode,
  type ElectionView,
  type PeerId,
  VOTER_LIST_MAX,
  type VoteAnswer,
  type VoteRequest,
} from '@skein/protocol';
import { digestOf } from './voter-digest.ts';

/** How often a node looks around: who did not answer is asked again, and a gap shows that the node stood still. */
export const LOOK_MS = 10_000;
/** After so many questions without an answer a peer counts as one that does not take part. */
export const MISSES_MAX = 3;
/** One that does not take part is asked again so seldom. */
export const SILENT_LOOK_MS = 120_000;
/** In `auto`, how long a node that started, or stood still, looks for a lower id before it leads, unless it hears all before. */
export const SETTLE_MS = 5_000;
/** A node in which nothing ran for this long stood still. */
export const STOOD_STILL_MS = 20_000;
/** In `auto`, how long after it last ran a node may act as leader. */
export const AWAKE_MS = 15_000;
/** A voter that renewed gives no other its vote for this long. */
export const PROMISE_MS = 10_000;
/** What of it a leader uses, counted from when it asked: with clocks 10 % apart in rate it ends before the promise does. */
export const LEASE_MS = 8_000;
/** How long a round of votes may take. */
export const ASK_MS = 1_000;
/** After a vote given, how long its winner has to show itself. */
export const GRANTED_MS = 2_000;
/** A voter that is told of a leader it cannot see itself asks again so seldom. */
export const HEARSAY_MS = 30_000;
/** Voters that find no leader ask in the order of their ids, this far apart. */
export const RANK_MS = 120;
/** What one message of another node may add to a term; more is refused. */
export const TERM_GROWTH_MAX = 2 ** 20;
/** Between two such additions of more than one. */
export const TERM_GROWTH_PAUSE_MS = 100;
/** Questions for a lease that may be open at once. */
export const ROUNDS_MAX = 8;

/** What an election is held under. The same for ever, or until an event `setting`. */
export interface ElectionSetting {
  readonly self: PeerId;
  readonly mode: ElectionMode;
  /** In `forced`, who leads; undefined when no known key has that name. */
  readonly forced: PeerId | undefined;
  /** In `quorum`, the voters by key, sorted; this node among them when it is one. */
  readonly voters: readonly PeerId[];
  /** Names the set of voters; empty outside `quorum`. */
  readonly digest: string;
  /** In `quorum`: this node knows no other, so that it may lead as the only voter. */
  readonly alone: boolean;
  /** In `auto`, the peers that may lead this node. */
  readonly members: ReadonlySet<PeerId>;
}

/** A setting with its voters in order. What a mode has no use for is left out. */
export function electionSetting(parts: {
  readonly self: PeerId;
  readonly mode: ElectionMode;
  readonly forced?: PeerId | undefined;
  readonly voters?: Iterable<PeerId>;
  readonly alone?: boolean;
  readonly members?: Iterable<PeerId>;
}): ElectionSetting {
  const { self, mode } = parts;
  const voters = mode === 'quorum' ? [...new Set(parts.voters ?? [])].sort() : [];
  return {
    self,
    mode,
    forced: mode === 'forced' ? parts.forced : undefined,
    voters,
    digest: mode === 'quorum' ? digestOf(voters) : '',
    alone: parts.alone ?? false,
    members: new Set(mode === 'auto' ? parts.members : []),
  };
}

/** What must be on the disk before a vote is answered. */
export interface ElectionRecord {
  readonly term: number;
  readonly votedFor: PeerId | null;
}

/** A peer with a session. */
export interface ElectionPeer {
  /** What it said last; null before it said anything. */
  readonly said: ElectionView | null;
  /** Which of this node's views it has heard, by number; 0 for none. */
  readonly told: number;
  /** Which it is being told; 0 while its own first word is waited for. */
  readonly telling: { readonly seq: number; readonly atMs: number } | null;
  readonly misses: number;
}

export interface ElectionState {
  readonly setting: ElectionSetting;
  readonly term: number;
  readonly votedFor: PeerId | null;
  readonly role: 'follower' | 'asking' | 'candidate' | 'leader';
  /** Who leads as far as this node knows from that one's own word, never who only will; itself as `leader` alone. */
  readonly leader: PeerId | null;
  /** In `auto`: the lowest id this node sees by itself. */
  readonly lowest: PeerId | null;
  readonly peers: ReadonlyMap<PeerId, ElectionPeer>;
  /** What this node says of who leads. */
  readonly view: ElectionView;
  /** When something last happened here. */
  readonly seenAtMs: number;
  readonly lookAtMs: number;
  /** In `auto`, before this the node does not lead. */
  readonly settledAtMs: number;
  /** The highest term in which this node led and gave up. */
  readonly resigned: number;
  readonly grewAtMs: number;
  /** `quorum`: before this a node that may have promised something before it started gives no vote. */
  readonly holdUntilMs: number;
  readonly promise: { readonly to: PeerId; readonly term: number; readonly untilMs: number } | null;
  /** When the next round of votes begins, or the open one is given up. */
  readonly campaignAtMs: number | null;
  readonly attempt: number;
  readonly votes: ReadonlySet<PeerId>;
  readonly denials: ReadonlyMap<PeerId, { readonly leader: PeerId | null; readonly waitMs: number }>;
  readonly round: number;
  /** When each open round of renewals was sent. */
  readonly rounds: ReadonlyMap<number, number>;
  /** For each voter that renewed, when that was asked for. */
  readonly renewed: ReadonlyMap<PeerId, number>;
}

export type ElectionRequest =
  | { readonly type: 'state'; readonly view: ElectionView }
  | ({ readonly type: 'vote' } & VoteRequest)
  | { readonly type: 'renew'; readonly term: number; readonly voters: string; readonly round: number };

/** `asked` repeats what the request said; whoever carries messages fills it in from what was sent. */
export type ElectionAnswer =
  | { readonly type: 'state'; readonly view: ElectionView; readonly asked: number }
  | ({ readonly type: 'vote'; readonly asked: { readonly term: number; readonly pre: boolean } } & VoteAnswer)
  | { readonly type: 'renew'; readonly granted: boolean; readonly term: number; readonly asked: number };

export type ElectionEvent =
  /** A session with a peer began; `ask` on the side that dialled, which speaks first. */
  | { readonly type: 'up'; readonly peer: PeerId; readonly ask: boolean }
  | { readonly type: 'down'; readonly peer: PeerId }
  /** To be answered at once: among the effects is one `answer`. */
  | { readonly type: 'request'; readonly from: PeerId; readonly request: ElectionRequest }
  | { readonly type: 'answer'; readonly from: PeerId; readonly answer: ElectionAnswer }
  /** The peer has no part in elections. */
  | { readonly type: 'silent'; readonly peer: PeerId }
  | { readonly type: 'wake' }
  /** The leader is about to act and wants its lease renewed. */
  | { readonly type: 'renew' }
  /** This node stops, and leads no more. */
  | { readonly type: 'resign' }
  | { readonly type: 'setting'; readonly setting: ElectionSetting };

export type ElectionEffect =
  /** Must be on the disk before anything after it is done. */
  | { readonly type: 'persist'; readonly record: ElectionRecord }
  | { readonly type: 'send'; readonly to: PeerId; readonly request: ElectionRequest }
  | { readonly type: 'answer'; readonly to: PeerId; readonly answer: ElectionAnswer }
  /** An event `wake` is due then; takes the place of the one before. */
  | { readonly type: 'wake'; readonly atMs: number }
  | { readonly type: 'leading'; readonly term: number }
  | { readonly type: 'lost'; readonly term: number }
  /** The leader, as this node knows it, is another than before. */
  | { readonly type: 'leader'; readonly leader: PeerId | null; readonly term: number }
  /** A peer tried what it may not; it had no effect. */
  | { readonly type: 'refused'; readonly peer: PeerId; readonly reason: string };

/**
 * The state of a node that starts. `record` is what it persisted last; undefined for one that never took part, which
 * therefore owes nobody a promise.
 */
export function createElection(setting: ElectionSetting, record: ElectionRecord | undefined, nowMs: number): ElectionState {
  return {
    setting,
    term: record?.term ?? 0,
    votedFor: record?.votedFor ?? null,
    role: 'follower',
    leader: null,
    lowest: null,
    peers: new Map(),
    view: {
      seq: 1,
      mode: setting.mode,
      term: record?.term ?? 0,
      leader: null,
      leads: false,
      resigned: 0,
      voters: setting.digest,
      ...toldList(setting),
    },
    seenAtMs: nowMs,
    lookAtMs: nowMs + LOOK_MS,
    settledAtMs: nowMs + SETTLE_MS,
    resigned: 0,
    grewAtMs: Number.NEGATIVE_INFINITY,
    holdUntilMs: record === undefined ? nowMs : nowMs + PROMISE_MS,
    promise: null,
    campaignAtMs: null,
    attempt: 0,
    votes: new Set(),
    denials: new Map(),
    round: 0,
    rounds: new Map(),
    renewed: new Map(),
  };
}

/** The voters as a view tells them; too many are not told. */
export function toldList({ mode, voters }: ElectionSetting): Pick<ElectionView, 'list'> {
  return mode === 'quorum' && voters.length <= VOTER_LIST_MAX ? { list: [...voters] } : {};
}

/** How many voters make a majority. */
export function majorityOf(voters: readonly PeerId[]): number {
  return Math.floor(voters.length / 2) + 1;
}

/** Whether a peer takes part: it said something and does not let questions lie. */
export function answers(peer: ElectionPeer): peer is ElectionPeer & { readonly said: ElectionView } {
  return peer.said !== null && peer.misses < MISSES_MAX;
}

/** Until when, on the monotonic clock, this node may act as leader by what it knows; `-Infinity` when it does not lead. */
export function leaseUntilMs(state: ElectionState): number {
  const { setting, role, seenAtMs, renewed } = state;
  if (role !== 'leader') return Number.NEGATIVE_INFINITY;
  switch (setting.mode) {
    case 'forced':
      return Number.POSITIVE_INFINITY;
    case 'auto':
      return seenAtMs + AWAKE_MS;
    case 'quorum': {
      const needed = majorityOf(setting.voters) - 1;
      if (needed === 0) return seenAtMs + LEASE_MS;
      const times = [...renewed.values()].sort((a, b) => b - a);
      return (times[needed - 1] ?? Number.NEGATIVE_INFINITY) + LEASE_MS;
    }
  }
}
