import type { ConversationEntry, TaskEvent } from '@skein/protocol';
import { fitHistory } from '../session/fit-history.ts';
import { conversationEntryOf } from '../session/session-entry.ts';

/** The conversation that steps hold, in order. */
export function entriesOf(steps: readonly { readonly event: TaskEvent }[]): readonly ConversationEntry[] {
  return steps.flatMap(({ event }) => (event.type === 'step' ? event.entries : []));
}

/** Calls that must never be repeated, were begun, and have no result. */
export function openIntents(
  steps: readonly { readonly event: TaskEvent }[],
): readonly { readonly id: string; readonly name: string }[] {
  const open = new Map<string, { readonly id: string; readonly name: string }>();
  for (const { event } of steps) {
    if (event.type === 'intent') open.set(event.id, event);
    if (event.type !== 'step') continue;
    for (const { message } of event.entries) if (message.role === 'tool') open.delete(message.callId);
  }
  return [...open.values()];
}

/** The entries without calls that have no result and results that have no call: what a conversation may keep. */
export function wholeEntries(entries: readonly ConversationEntry[]): readonly ConversationEntry[] {
  // It begins with what a user said, so that none of the rest is taken for the end of a turn that was cut.
  const begin: ConversationEntry = { message: { role: 'user', text: '' }, tainted: false };
  return fitHistory([begin, ...entries], Number.POSITIVE_INFINITY)
    .slice(1)
    .map(conversationEntryOf);
}

/** The newest entries, at most so many, beginning with what a user said. */
export function newestEntries(entries: readonly ConversationEntry[], max: number): readonly ConversationEntry[] {
  if (entries.length <= max) return entries;
  const newest = entries.slice(-max);
  const begin = newest.findIndex(({ message }) => message.role === 'user');
  return begin === -1 ? [] : newest.slice(begin);
}

/** The text of the answer, when the last entry is one: a message of the brain without calls. */
export function answerIn(entries: readonly ConversationEntry[]): string | undefined {
  const last = entries.at(-1)?.message;
  return last?.role === 'assistant' && last.toolCalls.length === 0 ? last.text : undefined;
}
