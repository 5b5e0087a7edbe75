import type { Message, ToolCall } from '../brain.ts';
import type { Catalog } from './catalog.ts';
import type { Context, Plan } from './plan.ts';
import { EMPTY_CONTEXT } from './plan.ts';
import type { Planner } from './planning.ts';
import { callsOf, isSameJson, subjectsOfCalls } from './subject.ts';

/** A user's message and what followed it. */
export interface Turn {
  readonly request: string;
  readonly calls: readonly ToolCall[];
  readonly results: ReadonlyMap<string, Extract<Message, { role: 'tool' }>>;
}

/** Turns before the last that are read for what it leans on. */
const MAX_TURNS_BEFORE = 8;

/** The last turns of a conversation, oldest first. What stands before the first user's message is left out. */
export function turnsOf(messages: readonly Message[]): Turn[] {
  const starts = messages.flatMap((message, index) => (message.role === 'user' ? [index] : []));
  return starts.slice(-1 - MAX_TURNS_BEFORE).map((start) => {
    const next = starts.find((other) => other > start) ?? messages.length;
    const first = messages[start];
    const rest = messages.slice(start + 1, next);
    return {
      request: first?.role === 'user' ? first.text : '',
      calls: rest.flatMap((message) => (message.role === 'assistant' ? message.toolCalls : [])),
      results: new Map(rest.flatMap((message) => (message.role === 'tool' ? [[message.callId, message] as const] : []))),
    };
  });
}

/**
 * Plans the last turn in the light of those before. Requests and calls are read, never what tools put out: no output
 * can change what is done next.
 */
export function planLast(turns: readonly Turn[], planner: Planner, catalog: Catalog): Plan {
  let context: Context = EMPTY_CONTEXT;
  for (const turn of turns.slice(0, -1)) {
    const planned = planner.plan(turn.request, context);
    context = keepWhatHappened(planned, turn, catalog);
  }
  return planner.plan(turns.at(-1)?.request ?? '', context).plan;
}

/** Where calls were made that the plan does not account for, they are what the turn was about. */
function keepWhatHappened(planned: { readonly plan: Plan; readonly context: Context }, turn: Turn, catalog: Catalog): Context {
  const { plan, context } = planned;
  if (turn.calls.length === 0) return context;
  const expected = plan.type === 'calls' ? callsOf(plan.subjects) : [];
  const accounted = turn.calls.some((call) =>
    expected.some((other) => other.name === call.name && isSameJson(other.input, call.input)),
  );
  if (accounted) return context;
  const subjects = subjectsOfCalls(turn.calls, catalog);
  const labels = [...new Set(subjects.flatMap((subject) => subject.labels))];
  return { subjects, labels, recent: labels, pending: undefined };
}
