import { editsBetween } from '@skein/protocol';
import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { UNAVAILABLE_KEYS } from './net.ts';
import { knownKeys } from './schema-walk.ts';

type Issue = z.core.$ZodIssue;

/** One thing that is wrong, and where. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

const SECRET = /key|secret|token|password/i;
const SHOWN_CHARACTERS = 60;

/** `net.peers[0].url`, as people write a path. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${String(part)}`)).join('');
}

/** What a failed parse found, each with the path, the value, what was expected, and for an unknown key the nearest. */
export function explain(schema: z.ZodType, issues: readonly Issue[], value: unknown): readonly Problem[] {
  return issues.flatMap((issue) => explainOne(schema, issue, value));
}

function explainOne(schema: z.ZodType, issue: Issue, value: unknown): readonly Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], text: explainKey(schema, issue.path, key) }));
  }
  if (issue.code === 'invalid_union') {
    // The member that got furthest is the one that was meant.
    const depth = (issues: readonly Issue[]) => Math.max(0, ...issues.map((inner) => inner.path.length));
    const meant = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
    if (meant !== undefined && depth(meant) > 0) {
      return meant.flatMap((inner) => explainOne(schema, { ...inner, path: [...issue.path, ...inner.path] }, value));
    }
  }
  const found = valueAt(value, issue.path);
  if (issue.code === 'invalid_value' && typeof found === 'string') {
    const text = `no such value "${found.slice(0, SHOWN_CHARACTERS)}"; ${nearestValue(found, issue.values.map(String))}`;
    return [{ path: issue.path, text: `${formatPath(issue.path)}: ${text}` }];
  }
  const expected = issue.message.replace(/^Invalid (input|option|string|key): /, '').replace(/^expected/, 'expected');
  return [{ path: issue.path, text: `${formatPath(issue.path) || 'the config'}: ${expected}${show(issue.path, found)}` }];
}

function explainKey(schema: z.ZodType, path: readonly PropertyKey[], key: string): string {
  const full = formatPath([...path, key]);
  if (UNAVAILABLE_KEYS.has(full.replaceAll(/\[\d+\]/g, '[]'))) {
    return `${full}: known from VoleNet, not available in this version; remove it`;
  }
  return `${full}: unknown key; ${nearest(key, knownKeys(schema, path), 'key')}`;
}

/** "did you mean …", or where nothing is near, the nearest all the same with the whole list. */
export function nearest(word: string, known: readonly string[], kind: string): string {
  if (known.length === 0) return `no ${kind} is known here`;
  const best = closest(word, [...known]);
  const near = distance(word.toLowerCase(), best.toLowerCase()) <= Math.max(2, word.length / 3);
  return near ? `did you mean "${best}"?` : `the nearest is "${best}"; known: ${known.join(', ')}`;
}

/**
 * "did you mean …" only for a word that is all but spelled, else the whole list: values may be levels of trust, and a guess
 * would talk people into more than they meant to give.
 */
function nearestValue(word: string, known: readonly string[]): string {
  const best = closest(word, [...known]);
  if (editsBetween(word.toLowerCase(), best.toLowerCase()) <= 1) return `did you mean "${best}"?`;
  return `there are ${known.map((value) => `"${value}"`).join(', ')}`;
}

function show(path: readonly PropertyKey[], value: unknown): string {
  if (value === undefined) return '';
  if (path.some((part) => typeof part === 'string' && SECRET.test(part))) return '';
  // A password may stand in an address.
  const text = (JSON.stringify(value) ?? String(value)).replace(/\/\/[^\s"]*@/g, '//…@');
  return `; the value is ${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text}`;
}

/** What stands at a path; undefined where the path ends before. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? Reflect.get(at, part) : undefined),
    value,
  );
}
