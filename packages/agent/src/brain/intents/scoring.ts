import type { Intent } from './catalog.ts';
import { isSuperlative } from './comparison.ts';
import { COUNTING_GRADES, gradeTerm } from './grades.ts';
import type { Filled } from './slot-filling.ts';
import { POLITE } from './text-slots.ts';
import { HAVING_WORDS, VETO_WORDS } from './vocabulary.ts';
import type { Reading, ReadToken, WordIndex } from './word-index.ts';
import { isStopWord } from './words.ts';

const SLOT_WEIGHT = 1;
const HAVING_WEIGHT = 4;
const RELATED_SURENESS = 0.9;
/** How much of an example that takes free text must be said besides that text, and of one whose path is a mere word. */
const WORDED = 0.5;
const WORDED_FOR_A_WORD = 0.8;
const DERIVED_FACTOR = 0.82;
const SUPERLATIVE_FACTOR = 0.85;
/** Between examples of the same words: the one worded alike, then the one that names its number. */
const WORDING_BONUS = 0.06;
const NUMBER_BONUS = 0.03;

/** What a score is made from. */
export interface Scoring {
  readonly index: WordIndex;
  readonly tokens: readonly ReadToken[];
  readonly filled: Filled;
  /** Whether no nodes are compared, so that a word for the most or least must be the example's own or grade its number. */
  readonly straysCount: boolean;
  /** Words not said but likely meant, with what they add to the score of an example that is made of them alone. */
  readonly context: ReadonlyMap<string, number>;
}

export interface Score {
  /** 0 to about 1. */
  readonly score: number;
  /** How much of what was said the example accounts for, 0 to 1. */
  readonly heard: number;
}

const NONE: Score = { score: 0, heard: 0 };

/**
 * How well a request fits an example: the harmonic mean of how much of the example is said and how much of
 * what is said is the example, words weighed by rarity.
 */
export function scoreOf(intent: Intent, { index, tokens, filled, straysCount, context }: Scoring): Score {
  if (!filled.aligned) return NONE;
  const said = saidTerms(intent, { index, tokens, filled, straysCount });
  if (said === undefined) return NONE;
  if (intent.literals.length === 0) return { score: smallWordsScore(intent, tokens, filled), heard: 1 };
  let wanted = 0;
  let found = 0;
  let remembered = 0;
  let worded = 0;
  for (const literal of intent.literals) {
    const weight = index.weight(literal);
    wanted += weight;
    const sureness = said.terms.get(literal);
    if (sureness !== undefined) worded += weight * sureness;
    else remembered += weight * (context.get(literal) ?? 0);
  }
  if (!intent.derived && worded < wanted * leastWorded(intent, tokens, filled)) return NONE;
  found += worded;
  if (intent.asksHaving) {
    wanted += HAVING_WEIGHT;
    if (tokens.some(({ token }) => HAVING_WORDS.has(token.key))) found += HAVING_WEIGHT;
  }
  for (const slot of intent.slots) {
    if (slot.property === undefined && !filled.values.has(slot.name)) continue;
    wanted += SLOT_WEIGHT;
    if (filled.values.has(slot.name)) found += SLOT_WEIGHT;
  }
  if (said.terms.size === 0 && filled.values.size === 0 && !(intent.derived && said.explained > 0)) return NONE;
  // What changes something is not guessed from a name: all of its words must be said.
  if (intent.derived && !intent.repeatable && intent.literals.some((literal) => !said.terms.has(literal))) return NONE;
  const heard = said.total === 0 ? (filled.used.size > 0 ? 1 : 0) : said.explained / said.total;
  const covered = intent.derived ? 1 : found / wanted;
  const both = covered + heard === 0 ? 0 : (2 * covered * heard) / (covered + heard);
  const bonus = wanted === 0 ? 0 : remembered / wanted;
  const nudge = WORDING_BONUS * likeness(intent, tokens) + (namesNumber(intent, tokens) ? NUMBER_BONUS : 0);
  return both === 0 ? NONE : { score: Math.min(1, (both + bonus) * factorOf(intent, tokens)) + nudge, heard };
}

/** Any words fit free text, so that those of the example itself must say that it is meant. */
function leastWorded({ slots }: Intent, tokens: readonly ReadToken[], filled: Filled): number {
  const isWord = [...filled.used].every((at) => tokens[at]?.isPlace !== true && tokens[at]?.token.quoted !== true);
  if (isWord && slots.some(({ kind, name }) => (kind === 'path' || kind === 'url') && filled.values.has(name))) {
    return WORDED_FOR_A_WORD;
  }
  return slots.some(({ kind }) => kind === 'free' || kind === 'list') ? WORDED : 0;
}

/** What tempers a score: a tool that declared no example, or one that asks for the most of something when nobody did. */
function factorOf(intent: Intent, tokens: readonly ReadToken[]): number {
  const derived = intent.derived ? DERIVED_FACTOR : 1;
  const graded = !isSuperlative(intent) || tokens.some(({ token }) => gradeTerm(token.key) !== undefined);
  return graded ? derived : derived * SUPERLATIVE_FACTOR;
}

/** Whether the example gives one number, and not how many there are of what was not asked to be counted. */
function namesNumber({ example, slots }: Intent, tokens: readonly ReadToken[]): boolean {
  if (example.field === undefined || slots.length > 0) return false;
  return example.unit !== 'count' || tokens.some(({ token }) => COUNT_WORDS.has(token.key));
}

/** How much of the example's wording, small words included, is the request's: shared words over all words. */
function likeness(intent: Intent, tokens: readonly ReadToken[]): number {
  const said = new Set(tokens.map(({ token }) => token.key));
  const words = new Set(intent.template.flatMap((part) => (part.type === 'word' ? [part.key] : [])));
  let shared = 0;
  for (const word of words) if (said.has(word)) shared += 1;
  return shared / Math.max(1, said.size + words.size - shared);
}

interface Said {
  /** How surely each of the intent's words was said. */
  readonly terms: ReadonlyMap<string, number>;
  readonly explained: number;
  readonly total: number;
}

/** What the request says outside the slots; undefined when it holds a word that forbids this intent, or asks for the most of what this one can't grade. */
function saidTerms(intent: Intent, { index, tokens, filled, straysCount }: Omit<Scoring, 'context'>): Said | undefined {
  const terms = new Map<string, number>();
  const literals = new Set(intent.literals);
  let explained = 0;
  let total = 0;
  const counts = tokens.some(({ token }) => COUNT_WORDS.has(token.key));
  for (const [position, { token, readings, isPlace }] of tokens.entries()) {
    if (filled.used.has(position)) {
      total += SLOT_WEIGHT;
      explained += SLOT_WEIGHT;
      continue;
    }
    if (token.quoted || isPlace) {
      total += SLOT_WEIGHT;
      continue;
    }
    if (isStray(token.key, intent, { straysCount, counts })) return undefined;
    for (const reading of readings) {
      if (reading.type === 'empty') continue;
      const own = reading.type === 'term' && literals.has(reading.term);
      const kin = intent.related.has(reading.term);
      if (isVeto(reading) && !own && !kin) return undefined;
      const weight = reading.type === 'term' ? index.weight(reading.term) : index.unknownWeight;
      total += weight;
      if (reading.type !== 'term') continue;
      if (own) terms.set(reading.term, Math.max(terms.get(reading.term) ?? 0, reading.sureness));
      explained += own ? weight * reading.sureness : kin ? weight * reading.sureness * RELATED_SURENESS : 0;
    }
  }
  return { terms, explained, total };
}

const COUNT_WORDS = new Set(['number', 'count', 'amount', 'many', 'much']);

/** A word for the most or least that the intent has no answer to: "the biggest files" of a list, or of their number. */
function isStray(
  key: string,
  intent: Intent,
  { straysCount, counts }: { readonly straysCount: boolean; readonly counts: boolean },
): boolean {
  if (gradeTerm(key) !== null || isStopWord(key) || isSuperlative(intent)) return false;
  const { field, unit } = intent.example;
  const isOfSize = !COUNTING_GRADES.has(key);
  return field === undefined ? straysCount || isOfSize : unit === 'count' && isOfSize && !counts;
}

function isVeto(reading: Exclude<Reading, { type: 'empty' }>): boolean {
  return reading.type === 'unknown' ? reading.veto : VETO_WORDS.has(reading.term);
}

/** An example without content words matches only when its words are all of the request, or all before its slot. */
function smallWordsScore(intent: Intent, tokens: readonly ReadToken[], filled: Filled): number {
  if (filled.missing.length > 0) return 0;
  const words = intent.template.flatMap((part) => (part.type === 'word' && !isFiller(part.key) ? [part.key] : []));
  const left = tokens.filter((_, position) => !filled.used.has(position));
  const rest = left.flatMap(({ token }) => spelledOut(token.key).split(/[-_]/)).filter((key) => !isFiller(key));
  return words.length > 0 && words.length === rest.length && words.every((word, at) => word === rest[at]) ? 0.95 : 0;
}

const FILLERS = new Set(['the', 'a', 'an', 'is', 'are', 'was', 'thanks']);

function isFiller(key: string): boolean {
  return FILLERS.has(key) || POLITE.has(key);
}

/** "Whats" is "what is"; the "is" of "what's" is gone with its apostrophe. */
function spelledOut(key: string): string {
  return key === 'whats' || key === 'wheres' || key === 'whos' ? key.slice(0, -1) : key;
}
