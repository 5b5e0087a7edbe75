import type { ToolExample } from '@skein/protocol';
import type { ToolCall } from '../brain.ts';
import type { Catalog, Intent } from './catalog.ts';
import { placeOf } from './catalog.ts';
import type { Comparison } from './grades.ts';
import type { JsonObject } from './slot-values.ts';

/** One thing that is asked: a tool, its input, where, and what in its output matters. */
export interface Subject {
  readonly base: string;
  readonly input: JsonObject;
  /** Undefined when a call was made without one, by name or by another brain. */
  readonly intent: Intent | undefined;
  readonly offers: ReadonlyMap<string, string>;
  readonly labels: readonly string[];
  readonly comparison: Comparison | undefined;
  /** What fills its slots, to tell it from others of the same tool. */
  readonly about: string;
}

export function exampleOf(subject: Subject): ToolExample | undefined {
  return subject.intent?.example;
}

/** Whether two values are the same JSON, whatever the order of their keys. */
export function isSameJson(left: unknown, right: unknown): boolean {
  return sortedJson(left) === sortedJson(right);
}

function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([left], [right]) => (left < right ? -1 : 1)))
      : item,
  );
}

/** The calls of a turn as subjects: how a turn another brain ran, or planned otherwise, is remembered. */
export function subjectsOfCalls(calls: readonly ToolCall[], catalog: Catalog): Subject[] {
  const subjects: Subject[] = [];
  for (const call of calls.slice(0, MAX_CALLS)) {
    const { label, base } = placeOf(call);
    const at = subjects.findIndex((subject) => subject.base === base && isSameJson(subject.input, call.input));
    const same = subjects[at];
    if (same !== undefined) {
      subjects[at] = { ...same, labels: [...same.labels, label] };
      continue;
    }
    const offers = offersOf(base, catalog);
    subjects.push({
      base,
      input: asObject(call.input),
      intent: undefined,
      offers,
      labels: [label],
      comparison: undefined,
      about: '',
    });
  }
  return subjects;
}

/** Full names of a tool by the label of the node that offers it. */
export function offersOf(base: string, catalog: Catalog): ReadonlyMap<string, string> {
  const found = [...catalog.tools].flatMap(([label, tools]) => {
    const tool = tools.find((candidate) => placeOf(candidate).base === base);
    return tool === undefined ? [] : [[label, tool.name] as const];
  });
  return new Map(found);
}

/** Calls made in one turn; more nodes are not asked, and that is said. */
export const MAX_CALLS = 64;

function asObject(input: unknown): JsonObject {
  // Proven: tool inputs of a conversation came in as JSON objects; anything else counts as none.
  return typeof input === 'object' && input !== null && !Array.isArray(input) ? (input as JsonObject) : {};
}

/** The calls that carry the subjects out, without repeating one that serves two of them. */
export function callsOf(
  subjects: readonly Subject[],
  most: number = MAX_CALLS,
): { readonly name: string; readonly input: JsonObject }[] {
  const calls = new Map<string, { readonly name: string; readonly input: JsonObject }>();
  for (const subject of subjects) {
    for (const label of subject.labels) {
      const name = subject.offers.get(label);
      if (name === undefined || calls.size >= most) continue;
      const key = `${name} ${sortedJson(subject.input)}`;
      if (!calls.has(key)) calls.set(key, { name, input: subject.input });
    }
  }
  return [...calls.values()];
}
