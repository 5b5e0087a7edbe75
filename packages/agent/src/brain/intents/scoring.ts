import type { Intent } from './catalog.ts';
import { isSuperlative } from './comparison.ts';
import { gradeTerm } from './grades.ts';
import type { Filled } from './slot-filling.ts';
import { HAVING_WORDS, VETO_WORDS } from './vocabulary.ts';
import type { Reading, ReadToken, WordIndex } from './word-index.ts';

const SLOT_WEIGHT = 1;
const HAVING_WEIGHT = 4;
const RELATED_SURENESS = 0.9;
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
export function scoreOf(intent: Intent, { index, tokens, filled, context }: Scoring): Score {
  if (!filled.aligned) return NONE;
  const said = saidTerms(intent, { index, tokens, filled });
  if (said === undefined) return NONE;
  if (intent.literals.length === 0) return { score: smallWordsScore(intent, tokens, filled), heard: 1 };
  let wanted = 0;
  let found = 0;
  let remembered = 0;
  for (const literal of intent.literals) {
    const weight = index.weight(literal);
    wanted += weight;
    const sureness = said.terms.get(literal);
    if (sureness !== undefined) found += weight * sureness;
    else remembered += weight * (context.get(literal) ?? 0);
  }
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
  const nudge =
    WORDING_BONUS * likeness(intent, tokens) +
    (intent.example.field === undefined || intent.slots.length > 0 ? 0 : NUMBER_BONUS);
  return both === 0 ? NONE : { score: Math.min(1, (both + bonus) * factorOf(intent, tokens)) + nudge, heard };
}

/** What tempers a score: a tool that declared no example, or one that asks for the most of something when nobody did. */
function factorOf(intent: Intent, tokens: readonly ReadToken[]): number {
  const derived = intent.derived ? DERIVED_FACTOR : 1;
  const graded = !isSuperlative(intent) || tokens.some(({ token }) => gradeTerm(token.key) !== undefined);
  return graded ? derived : derived * SUPERLATIVE_FACTOR;
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

/** What the request says outside the slots; undefined when it holds a word that forbids this intent. */
function saidTerms(intent: Intent, { index, tokens, filled }: Omit<Scoring, 'context'>): Said | undefined {
  const terms = new Map<string, number>();
  const literals = new Set(intent.literals);
  let explained = 0;
  let total = 0;
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

function isVeto(reading: Exclude<Reading, { type: 'empty' }>): boolean {
  return reading.type === 'unknown' ? reading.veto : VETO_WORDS.has(reading.term);
}

/** An example without content words matches only when its words are all of the request, or all before its slot. */
function smallWordsScore(intent: Intent, tokens: readonly ReadToken[], filled: Filled): number {
  if (filled.missing.length > 0) return 0;
  const words = intent.template.flatMap((part) => (part.type === 'word' ? [part.key] : []));
  const rest = tokens.filter((_, position) => !filled.used.has(position)).flatMap(({ token }) => token.key.split(/[-_]/));
  return words.length > 0 && words.length === rest.length && words.every((word, at) => word === rest[at]) ? 0.95 : 0;
}
