/** What an agent is and how far a turn of it may go. */
export interface AgentOptions {
  /** The node's name, as the agent says it. */
  readonly name: string;
  /** More for the system prompt: who the agent is, how it should answer. */
  readonly instructions: string;
  /** Answers of the brain in one turn; the last of them may not call tools. */
  readonly maxSteps: number;
  readonly maxToolCalls: number;
  /** Tokens, read and written, that the brain reports for one turn; past it, it is not asked again in that turn. */
  readonly maxTurnTokens: number;
  readonly maxParallelTools: number;
  /** How often one tool may be called with one input in a turn. */
  readonly maxRepeats: number;
  /** Characters of one tool's output, as JSON, that the brain is shown. */
  readonly maxToolOutputChars: number;
  /** Characters of partial output of one call that are passed on. */
  readonly maxDeltaChars: number;
  /** Characters of conversation in one request. */
  readonly maxHistoryChars: number;
  readonly maxAnswerChars: number;
  readonly turnTimeoutMs: number;
  readonly toolTimeoutMs: number;
  readonly confirmTimeoutMs: number;
  /** Turns at once, and waiting, over all conversations. */
  readonly maxTurns: number;
  /** Turns that may wait for the one that runs in their conversation. */
  readonly maxWaitingTurns: number;
  /** Remembered facts put into a request, and their characters in all. */
  readonly maxFacts: number;
  readonly maxFactChars: number;
  /** Ask a person before every tool that changes something. */
  readonly confirmBeforeAct: boolean;
  /**
   * Full names of tools that change something and may run without asking though the turn has read text from outside.
   * `*` stands for any characters but `/`: `memory_write`, `lab-*`.
   */
  readonly allowAfterUntrusted: readonly string[];
  /** The brain is asked nothing: turns that run end as `unavailable`, and so does each that would begin. */
  readonly paused: boolean;
}

export const AGENT_DEFAULTS: AgentOptions = {
  name: 'skein',
  instructions: '',
  maxSteps: 10,
  maxToolCalls: 64,
  maxTurnTokens: 500_000,
  maxParallelTools: 8,
  maxRepeats: 3,
  maxToolOutputChars: 16_000,
  maxDeltaChars: 256_000,
  maxHistoryChars: 120_000,
  maxAnswerChars: 200_000,
  turnTimeoutMs: 300_000,
  toolTimeoutMs: 120_000,
  confirmTimeoutMs: 120_000,
  maxTurns: 256,
  maxWaitingTurns: 4,
  maxFacts: 5,
  maxFactChars: 2_000,
  confirmBeforeAct: false,
  allowAfterUntrusted: [],
  paused: false,
};
