export interface TaskLimits {
  /** Tasks of other nodes that have not ended, in all, and as many of this node; beyond, `submit` is `busy`. */
  readonly maxOpen: number;
  /** The same for those that one node handed over. */
  readonly maxOpenPerSender: number;
  /** Ended tasks whose text, steps and outcome are kept, and how long. */
  readonly maxEnded: number;
  readonly maxEndedAgeMs: number;
  /** Tasks known in all, by their ids alone when no more is kept: so long as a duplicate may come. Beyond, `busy`. */
  readonly maxKnown: number;
  /** Characters of a task as it is handed over, as JSON. */
  readonly maxRequestChars: number;
  /** Entries, and their characters as JSON, that the steps of one task may hold. */
  readonly maxStepEntries: number;
  readonly maxStepChars: number;
  /** Characters and entries of the conversation that a task of this node begins with. */
  readonly maxHistoryChars: number;
  readonly maxHistoryEntries: number;
}

export const TASK_LIMITS: TaskLimits = {
  maxOpen: 10_000,
  maxOpenPerSender: 1_000,
  maxEnded: 1_000,
  maxEndedAgeMs: 7 * 86_400_000,
  maxKnown: 500_000,
  maxRequestChars: 2_000_000,
  maxStepEntries: 512,
  maxStepChars: 4_000_000,
  maxHistoryChars: 120_000,
  maxHistoryEntries: 512,
};
