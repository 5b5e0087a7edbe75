import type { ErrorCode, Json } from '@skein/protocol';

/** A tool call as it is told in an answer. */
export interface ToolCallSummary {
  readonly name: string;
  /** The label of the peer that ran it; null for a tool of this node. */
  readonly peer: string | null;
  readonly ms: number;
  readonly ok: boolean;
}

/** The label of the peer that ran a tool: the one in its full name, else whoever did the step it is in. */
export function whoRan(name: string, step: { readonly worker?: string }): string | null {
  const slash = name.indexOf('/');
  return slash === -1 ? (step.worker ?? null) : name.slice(0, slash);
}

/** What a turn tells while it runs, in order; `answer` or `error` is the last. Also one JSON line of `--json`. */
export type AgentEvent =
  | { readonly type: 'turn-start'; readonly turnId: string; readonly sessionId: string; readonly brain: string }
  | { readonly type: 'text-delta'; readonly text: string }
  | {
      readonly type: 'tool-call';
      readonly id: string;
      readonly name: string;
      readonly peer: string | null;
      readonly input: unknown;
    }
  | { readonly type: 'tool-output'; readonly id: string; readonly delta: string }
  | {
      readonly type: 'tool-result';
      readonly id: string;
      readonly name: string;
      readonly peer: string | null;
      readonly ok: boolean;
      readonly ms: number;
      readonly output: Json;
    }
  /** A person must say yes before this call runs; answered through `Confirm`. */
  | {
      readonly type: 'confirm-request';
      readonly id: string;
      readonly name: string;
      readonly peer: string | null;
      readonly input: unknown;
      readonly reason: string;
    }
  | { readonly type: 'answer'; readonly text: string; readonly toolCalls: readonly ToolCallSummary[] }
  /** `retryAfterMs`: with `busy`, when to come back. */
  | { readonly type: 'error'; readonly code: ErrorCode; readonly message: string; readonly retryAfterMs?: number };
