import type { Message, ToolCall } from '../brain/brain.ts';
import type { ToolCallSummary } from '../events.ts';
import type { SessionEntry } from '../session/session-entry.ts';

/** What a turn did before it was cut off. */
export interface StepsBefore {
  /** Calls that have their result, in order. How long they took is not known any more. */
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
  const results = new Map(steps.flatMap(({ message }) => (message.role === 'tool' ? [[message.callId, message.ok]] : [])));
  const calls = answers.flatMap(({ message }) => message.toolCalls);
  const last = answers.at(-1);
  return {
    done: calls.flatMap((call) => {
      const ok = results.get(call.id);
      return ok === undefined ? [] : [{ call, summary: { name: call.name, peer: peerOf(call.name), ms: 0, ok } }];
    }),
    open: last?.message.toolCalls.filter(({ id }) => !results.has(id)) ?? [],
    answers: answers.length,
    last,
  };
}

/** The label in a full name. */
function peerOf(name: string): string | null {
  const slash = name.indexOf('/');
  return slash === -1 ? null : name.slice(0, slash);
}
