import type { Message, ToolCall } from '../brain.ts';
import type { Catalog } from './catalog.ts';
import { placeOf, THIS_NODE } from './catalog.ts';
import type { Context, Plan } from './plan.ts';
import { EMPTY_CONTEXT } from './plan.ts';
import type { Planner } from './planning.ts';
import type { Subject } from './subject.ts';
import { isSameJson, subjectsOfCalls } from './subject.ts';

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

interface Here {
  readonly catalog: Catalog;
  readonly thisNode: string;
}

/**
 * Plans the last turn in the light of those before. Requests and calls are read, never what tools put out: no output
 * can change what is done next.
 */
export function planLast(turns: readonly Turn[], planner: Planner, here: Here): Plan {
  let context: Context = EMPTY_CONTEXT;
  for (const turn of turns.slice(0, -1)) {
    const planned = planner.plan(turn.request, context);
    context = keepWhatHappened(planned, turn, here);
  }
  return planner.plan(turns.at(-1)?.request ?? '', context).plan;
}

/**
 * What a turn was about: what was planned, at the nodes it was done at; where calls were made that the plan does not
 * account for, these. The turn may be another device's, which calls nodes by other names: its own tools bear none.
 */
function keepWhatHappened(planned: { readonly plan: Plan; readonly context: Context }, turn: Turn, here: Here): Context {
  const { plan, context } = planned;
  if (turn.calls.length === 0) return context;
  const made = turn.calls.map((call) => ({ ...placeOf(call), input: call.input }));
  const expected = plan.type === 'calls' ? plan.subjects : [];
  const done = expected.map((subject) => {
    const own = made.filter((call) => call.base === subject.base && isSameJson(call.input, subject.input));
    return own.length === 0 ? undefined : { ...subject, labels: labelsSeenFromHere(own, subject, here) };
  });
  const isAccounted = done.some((subject) => subject !== undefined);
  const subjects = isAccounted
    ? expected.map((subject, at) => done[at] ?? subject)
    : subjectsOfCalls(turn.calls, here.catalog).map((subject) => ({
        ...subject,
        labels: subject.labels.map((label) => (label === here.thisNode ? THIS_NODE : label)),
      }));
  const labels = [...new Set(subjects.flatMap((subject) => subject.labels))];
  const before = isAccounted ? context.recent.filter((label) => !context.labels.includes(label)) : [];
  return { subjects, labels, recent: [...new Set([...before, ...labels])], pending: undefined };
}

/**
 * The nodes of a subject's calls as this node calls them. A call that names this node was made elsewhere, and then one
 * without a name was at that other node: the planned one that no call names.
 */
function labelsSeenFromHere(
  calls: readonly { readonly label: string }[],
  { labels: planned, offers }: Subject,
  { thisNode }: Here,
): readonly string[] {
  const isElsewhere = calls.some(({ label }) => label === thisNode);
  const named = calls.flatMap(({ label }) => (label === THIS_NODE ? [] : [label === thisNode ? THIS_NODE : label]));
  const isUnnamed = calls.some(({ label }) => label === THIS_NODE);
  const there =
    !isElsewhere && planned.includes(THIS_NODE)
      ? THIS_NODE
      : planned.find((label) => label !== THIS_NODE && !named.includes(label));
  const labels = new Set(isUnnamed && there !== undefined ? [there, ...named] : named);
  const known = [...labels].filter((label) => offers.has(label));
  return known.length > 0 ? known : planned;
}
