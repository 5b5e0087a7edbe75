import type { Message } from '../brain/brain.ts';
import type { SessionEntry } from './session-entry.ts';

const LEFT_OUT = '[left out: the conversation became too long]';
const OVERHEAD_CHARS = 32;

/** An assistant message with the results of its calls, or any other message alone: kept or dropped as a whole. */
type Step = readonly SessionEntry[];

/**
 * The newest part of a conversation that fits into so many characters, oldest first. Whole turns are dropped first, so
 * what is left begins with a user's message; the newest turn always stays, its older tool outputs and then its older
 * steps left out as far as needed. A tool result is never kept without its call, nor a call without its result.
 */
export function fitHistory(entries: readonly SessionEntry[], maxChars: number): readonly SessionEntry[] {
  const turns = turnsOf(entries);
  const kept: SessionEntry[][] = [];
  let room = maxChars;
  for (const turn of turns.toReversed()) {
    const steps = kept.length === 0 ? shrinkTurn(turn, maxChars) : turn;
    const chars = sizeOf(steps.flat());
    if (kept.length > 0 && chars > room) break;
    room -= chars;
    kept.unshift(steps.flat());
  }
  return kept.flat();
}

/** Characters a message takes in a request, about. */
export function messageChars(message: Message): number {
  switch (message.role) {
    case 'user':
      return message.text.length + OVERHEAD_CHARS;
    case 'assistant':
      return message.text.length + jsonChars(message.toolCalls) + OVERHEAD_CHARS;
    case 'tool':
      return jsonChars(message.output) + message.name.length + OVERHEAD_CHARS;
  }
}

function jsonChars(value: unknown): number {
  return JSON.stringify(value)?.length ?? 0;
}

function sizeOf(entries: readonly SessionEntry[]): number {
  return entries.reduce((sum, entry) => sum + messageChars(entry.message), 0);
}

function turnsOf(entries: readonly SessionEntry[]): Step[][] {
  const turns: Step[][] = [];
  for (const step of stepsOf(entries)) {
    // Before the first user's message there is only the rest of a turn that was cut: providers refuse to begin there.
    if (step[0]?.message.role === 'user') turns.push([step]);
    else turns.at(-1)?.push(step);
  }
  return turns;
}

function stepsOf(entries: readonly SessionEntry[]): Step[] {
  const steps: Step[] = [];
  for (const [index, entry] of entries.entries()) {
    if (entry.message.role === 'user') steps.push([entry]);
    if (entry.message.role === 'assistant') steps.push(assistantStep(entry, entries.slice(index + 1)));
  }
  return steps.filter((step) => step.length > 0);
}

function assistantStep(entry: SessionEntry, after: readonly SessionEntry[]): Step {
  const { message } = entry;
  if (message.role !== 'assistant') return [];
  const end = after.findIndex((later) => later.message.role !== 'tool');
  const results = end === -1 ? after : after.slice(0, end);
  const resultOf = (id: string) => results.find(({ message: result }) => result.role === 'tool' && result.callId === id);
  const toolCalls = message.toolCalls.filter((call) => resultOf(call.id) !== undefined);
  if (toolCalls.length === 0 && message.text === '') return [];
  const answered = toolCalls.flatMap((call) => resultOf(call.id) ?? []);
  return [{ ...entry, message: { ...message, toolCalls } }, ...answered];
}

function shrinkTurn(turn: readonly Step[], maxChars: number): readonly Step[] {
  let steps = turn;
  for (let index = 0; index < steps.length && sizeOf(steps.flat()) > maxChars; index += 1) {
    steps = steps.with(index, (steps[index] ?? []).map(withoutOutput));
  }
  // The first step is the user's message: it goes last.
  while (steps.length > 1 && sizeOf(steps.flat()) > maxChars) steps = steps.toSpliced(1, 1);
  return steps;
}

function withoutOutput(entry: SessionEntry): SessionEntry {
  if (entry.message.role !== 'tool' || jsonChars(entry.message.output) <= LEFT_OUT.length) return entry;
  return { ...entry, message: { ...entry.message, output: LEFT_OUT } };
}
