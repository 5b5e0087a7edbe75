import { z } from 'zod';
import { defineMethod } from './method.ts';
import { peerId } from './peer-id.ts';

/** A leadership's number: it only grows, and the higher one wins. */
export const leaderTerm = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** `auto`: the lowest id that answers. `forced`: one named node or none. `quorum`: whom a majority of voters elected. */
export const electionMode = z.enum(['auto', 'forced', 'quorum']);
export type ElectionMode = z.infer<typeof electionMode>;

/** Names a set of voters: the SHA-256 of their ids, sorted, one a line, in hex; empty outside `quorum`. */
export const voterDigest = z.string().regex(/^(?:[0-9a-f]{64})?$/);

/** Voters that a view names at most; of more, their digest alone is told. */
export const VOTER_LIST_MAX = 64;

/** What one node knows of who leads. */
export const electionView = z.object({
  /** Grows with each change while the sender's process runs: of two views of a session the higher is the newer. */
  seq: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  mode: electionMode,
  term: leaderTerm,
  /**
   * Who leads, or in `auto` is the one to lead, as far as the sender can see by itself: itself, or one it has a session
   * with.
   */
  leader: peerId.nullable(),
  /** Whether that one leads by its own word, and is not only the one to. Absent: it does where the sender names itself. */
  leads: z.boolean().optional(),
  /** The highest term in which the sender led and gave up; 0 for none. */
  resigned: leaderTerm,
  voters: voterDigest,
  /** In `quorum`, the voters that `voters` is the digest of: so that a person can be told how two lists differ. */
  list: z.array(peerId).max(VOTER_LIST_MAX).optional(),
});
export type ElectionView = z.infer<typeof electionView>;

/** Told when two nodes meet, by the one that dialled, and whenever it changes; answered with the receiver's own. */
export const leaderState = defineMethod({
  name: 'leader.state',
  grant: 'presence',
  params: electionView,
  result: electionView,
  idempotent: true,
});

export const voteRequest = z.object({
  term: leaderTerm,
  /** Only asks whether a vote would be given: changes nothing. */
  pre: z.boolean(),
  voters: voterDigest,
});
export type VoteRequest = z.infer<typeof voteRequest>;

export const voteAnswer = z.object({
  granted: z.boolean(),
  term: leaderTerm,
  /** Who leads as the voter sees it, where that is why it refuses. */
  leader: peerId.nullable(),
  /** How long a promise to another leader still holds. */
  waitMs: z.int().min(0).max(60_000),
});
export type VoteAnswer = z.infer<typeof voteAnswer>;

/** Asks a voter for its vote in a term, `quorum` only. A vote given is on the voter's disk. */
export const leaderVote = defineMethod({
  name: 'leader.vote',
  grant: 'presence',
  params: voteRequest,
  result: voteAnswer,
  idempotent: true,
});

/** The leader of a term asks a voter to vote for nobody else for the next 10 s, `quorum` only. */
export const leaderRenew = defineMethod({
  name: 'leader.renew',
  grant: 'presence',
  params: z.object({ term: leaderTerm, voters: voterDigest }),
  result: z.object({ granted: z.boolean(), term: leaderTerm }),
  idempotent: true,
});

/** Names a schedule on every node that has it. */
export const scheduleId = z.string().regex(/^[0-9a-f]{32}$/);

/**
 * The leader asks whose the run of a schedule at a due time is: the first leader's that asked, from then on always. On the
 * receiver's disk when it is answered. One who does not lead is answered only when somebody asked before.
 */
export const schedulesClaim = defineMethod({
  name: 'schedules.claim',
  grant: 'presence',
  params: z.object({ schedule: scheduleId, dueMs: z.int().min(0).max(8_640_000_000_000_000), term: leaderTerm }),
  result: z.object({
    owner: peerId,
    /** The receiver found out that it is so, and did not only note it. */
    final: z.boolean(),
  }),
  idempotent: true,
});
