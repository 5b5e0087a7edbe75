import type { Message, ToolCall } from '../brain/brain.ts';
import { type ToolCallSummary, whoRan } from '../events.ts';
import type { SessionEntry } from '../session/session-entry.ts';

/** What a turn did before it was cut off. */
export interface StepsBefore {
  /** Calls that have their result, in order. */
  readonly done: readonly { readonly call: ToolCall; readonly summary: ToolCallSummary }[];
  /** Calls of the last answer that have none. */
  readonly open: readonly ToolCall[];
  /** Answers of the brain. */
  readonly answers: number;
  /** The last of them. */
  readonly last: { readonly message: Message & { readonly role: 'assistant' }; readonly tainted: boolean } | undefined;
}

/** Reads the steps of a turn. */
export function stepsBefore(steps: readonly SessionEntry[]): StepsBefore {
  const answers = steps.flatMap(({ message, tainted }) => (message.role === 'assistant' ? [{ message, tainted }] : []));
  const results = new Map(steps.flatMap((entry) => (entry.message.role === 'tool' ? [[entry.message.callId, entry]] : [])));
  const calls = answers.flatMap(({ message }) => message.toolCalls);
  const last = answers.at(-1);
  return {
    done: calls.flatMap((call) => {
      const result = results.get(call.id);
      if (result?.message.role !== 'tool') return [];
      const { name } = call;
      return [{ call, summary: { name, peer: whoRan(name, result), ms: result.ms ?? 0, ok: result.message.ok } }];
    }),
    open: last?.message.toolCalls.filter(({ id }) => !results.has(id)) ?? [],
    answers: answers.length,
    last,
  };
}
