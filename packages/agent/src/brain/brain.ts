import type { Json, ToolDescriptor } from '@skein/protocol';

/** One entry of a conversation, oldest first. */
export type Message =
  | { readonly role: 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly text: string; readonly toolCalls: readonly ToolCall[] }
  | {
      readonly role: 'tool';
      readonly callId: string;
      readonly name: string;
      readonly output: Json;
      readonly ok: boolean;
      /** The output came from outside this node's own agent; show it to a model through `formatAsData`. */
      readonly untrusted?: true;
    };

export interface ToolCall {
  readonly id: string;
  /** The full name as offered: `peer/tool` for a remote one. */
  readonly name: string;
  readonly input: unknown;
}

/** A tool as offered to a brain. `name` is the full name; `peer` the label of the node that runs it. */
export interface OfferedTool extends ToolDescriptor {
  readonly peer?: string;
}

export interface BrainRequest {
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly OfferedTool[];
  /** The labels of the connected peers, whether they share tools or not. */
  readonly peers?: readonly string[];
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** What a brain streams. Exactly one `finish` comes last; a failure is thrown, never a part. */
export type BrainPart =
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'tool-call'; readonly call: ToolCall }
  | { readonly type: 'finish'; readonly reason: 'stop' | 'tool-calls' | 'length' | 'filtered'; readonly usage?: Usage };

/** A request in, a stream of typed parts out. */
export interface Brain {
  /** For people: `openai gpt-5.2`, `ollama llama3.2`, `intents (built in)`. */
  readonly name: string;
  /** @throws SkeinError `unavailable`, `busy`, `unauthenticated`, `deadline-exceeded`, `too-large`, `invalid` or `canceled`. */
  respond(request: BrainRequest, options: { readonly signal: AbortSignal }): AsyncIterable<BrainPart>;
}
