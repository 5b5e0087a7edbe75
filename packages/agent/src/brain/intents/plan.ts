import type { Match } from './matching.ts';
import type { Places } from './places.ts';
import type { Slot } from './slot-values.ts';
import type { Subject } from './subject.ts';
import { callsOf, isSameJson, MAX_CALLS } from './subject.ts';

/** What a request comes to: calls to make, or something to say instead. */
export type Plan =
  | { readonly type: 'calls'; readonly subjects: readonly Subject[]; readonly notes: readonly string[] }
  | { readonly type: 'say'; readonly text: string };

/** What the turns before leave for the next. */
export interface Context {
  readonly subjects: readonly Subject[];
  /** The nodes of the turn before. */
  readonly labels: readonly string[];
  /** Those of the turns that lead up to it too. */
  readonly recent: readonly string[];
  readonly pending: Pending | undefined;
}

/** A question the last answer asked. */
export type Pending =
  | { readonly type: 'slot'; readonly match: Match; readonly slot: Slot; readonly places: Places }
  | { readonly type: 'node'; readonly subject: Subject; readonly proposed: readonly string[] };

export const EMPTY_CONTEXT: Context = { subjects: [], labels: [], recent: [], pending: undefined };

export interface Planned {
  readonly plan: Plan;
  readonly context: Context;
}

/** Something to say; a question that was open is closed by it. */
export function say(text: string, context: Context): Planned {
  return { plan: { type: 'say', text }, context: { ...context, pending: undefined } };
}

/** A question whose answer is the next request. */
export function ask(text: string, context: Context, pending: Pending): Planned {
  return { plan: { type: 'say', text }, context: { ...context, pending } };
}

interface CarryOut {
  readonly notes: readonly string[];
  readonly context: Context;
  readonly follows: boolean;
}

/** Calls to make, and what they leave for the next turn. */
export function carryOut(subjects: readonly Subject[], details: CarryOut): Planned {
  const { notes, context, follows } = details;
  const labels = [...new Set(subjects.flatMap((subject) => subject.labels))];
  const recent = follows ? [...new Set([...context.recent, ...labels])] : labels;
  const count = callsOf(subjects, Number.POSITIVE_INFINITY).length;
  const cut = count > MAX_CALLS ? [`I asked the first ${MAX_CALLS} of ${count} only.`] : [];
  return {
    plan: { type: 'calls', subjects, notes: [...new Set([...notes, ...cut])] },
    context: { subjects, labels, recent, pending: undefined },
  };
}

/** Several requests of one message: all of them, or the first that can't be done as it stands. */
export function join(planned: readonly Planned[], details: CarryOut): Planned {
  const subjects: Subject[] = [];
  const notes = new Set(details.notes);
  for (const one of planned) {
    if (one.plan.type === 'say') return one;
    subjects.push(...one.plan.subjects);
    for (const note of one.plan.notes) notes.add(note);
  }
  return carryOut(merge(subjects), { ...details, notes: [...notes] });
}

/** The same thing asked of two nodes in two parts is one subject. */
function merge(subjects: readonly Subject[]): Subject[] {
  const merged: Subject[] = [];
  for (const subject of subjects) {
    const at = merged.findIndex((other) => other.intent === subject.intent && isSameJson(other.input, subject.input));
    const same = merged[at];
    if (same === undefined) merged.push(subject);
    else merged[at] = { ...same, labels: [...new Set([...same.labels, ...subject.labels])] };
  }
  return merged;
}
