import type { ToolDescriptor } from '@skein/protocol';
import { z } from 'zod';
import { matchesAny } from '../tool/name-pattern.ts';
import type { NamedTool } from '../tool/tool-set.ts';

/** What the request that led to a call held. */
export interface Seen {
  /** Some of it is from outside. */
  readonly tainted: boolean;
  /** Where that came from, for people. */
  readonly sources: readonly string[];
  /** What this node's own people said in the conversation. */
  readonly said: readonly string[];
}

export interface ActRules {
  readonly confirmBeforeAct: boolean;
  readonly allowAfterUntrusted: readonly string[];
}

/**
 * Why a person must say yes before this call, or undefined when it may run. The whole rule about untrusted text is
 * here: a model that does what such text says gets no further than this.
 */
export function reasonToAsk(named: NamedTool, input: unknown, seen: Seen, rules: ActRules): string | undefined {
  const { descriptor } = named.tool;
  const mayActAnyway = !seen.tainted || matchesAny(named.name, rules.allowAfterUntrusted);
  const from = seen.sources.length === 0 ? '' : ` (${seen.sources.slice(0, 5).join(', ')})`;
  if (descriptor.effect === 'read') {
    if (descriptor.openWorld !== true || mayActAnyway || isSaid(input, descriptor, seen.said)) return undefined;
    return `${named.name} would send to an address that nobody here named, and this conversation has read text from outside${from}`;
  }
  if (!mayActAnyway) return `${named.name} changes something, and this conversation has read text from outside${from}`;
  return rules.confirmBeforeAct ? `${named.name} changes something` : undefined;
}

/** Whether each text of an input is one that people said, whole, or one of those its tool lists: it carries nothing out. */
function isSaid(input: unknown, { input: schema }: ToolDescriptor, said: readonly string[]): boolean {
  const listed = z.object({ properties: z.record(z.string(), z.object({ enum: z.array(z.unknown()) }).partial()) });
  const { properties = {} } = listed.safeParse(schema).data ?? {};
  return Object.entries(Object(input)).every(([key, value]) => {
    const isListed = Object.hasOwn(properties, key) && properties[key]?.enum?.includes(value) === true;
    return isListed || textsOf(value).every((text) => said.some((words) => isWholeIn(words, withoutScheme(text))));
  });
}

/** Every text inside a value, the names of fields too. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return typeof value === 'number' ? [String(value)] : [];
  return Object.entries(value).flatMap(([key, inner]) => [...(Array.isArray(value) ? [] : [key]), ...textsOf(inner)]);
}

/** Letters and digits that go on a word; scripts written without blanks begin and end none. */
const WORD = String.raw`(?![\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}])[\p{L}\p{M}\p{N}_]`;
/** What before a text makes it a part of another one, an address above all; behind a scheme an address begins. */
const JOINS_BEFORE = new RegExp(String.raw`(?:${WORD}|(?<!\bhttps?:/)[-.@%+~:/\\])$`, 'iu');
/** What behind it does: a path may go on, a host may not. */
const JOINS_AFTER = new RegExp(String.raw`^(?:${WORD}|[-@%+~\\]|[.:]${WORD})`, 'u');

/** Whether words hold this text, and not only as a part of another: `ank.example` is not in `bank.example`. */
function isWholeIn(words: string, text: string): boolean {
  if (text === '') return true;
  for (let at = words.indexOf(text); at !== -1; at = words.indexOf(text, at + 1)) {
    if (!JOINS_BEFORE.test(words.slice(0, at)) && !JOINS_AFTER.test(words.slice(at + text.length))) return true;
  }
  return false;
}

/** People leave out what a model adds. */
function withoutScheme(text: string): string {
  return text.replace(/^https?:\/\//i, '').replace(/\/$/, '');
}
