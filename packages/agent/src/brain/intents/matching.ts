import type { Catalog, Intent } from './catalog.ts';
import { THIS_NODE } from './catalog.ts';
import type { Score } from './scoring.ts';
import { scoreOf } from './scoring.ts';
import type { Filled } from './slot-filling.ts';
import { fillSlots } from './slot-filling.ts';
import type { ReadToken, WordIndex } from './word-index.ts';

/** An intent a request may mean, and how surely. */
export interface Match extends Filled, Score {
  readonly intent: Intent;
}

/** Below it a request is not understood. */
export const UNDERSTOOD = 0.5;
/** At or above it a part of a request stands for itself, whatever is around it. */
export const CONFIDENT = 0.62;

const MAX_CANDIDATES = 64;
/** What a path or an address adds to an example that takes one, and what the tool of the turn before does. */
const SLOT_WEIGHT = 1;
const SAME_TOOL_BONUS = 0.08;

export interface MatchRequest {
  readonly text: string;
  /** For each intent the tokens that speak to it: which words name a node depends on who offers it. */
  tokensFor(intent: Intent): readonly ReadToken[];
  readonly tokens: readonly ReadToken[];
  /** Words not said but likely meant, with what they add to the score of an example that is made of them alone. */
  readonly context: ReadonlyMap<string, number>;
  /** Tools of the turn before, when this one follows it up. */
  readonly tools: ReadonlySet<string>;
  /** Whether no nodes are compared, so that a word for the most or least speaks of something else. */
  readonly straysCount: boolean;
}

/** The intents a request may mean, likeliest first; at most 64. */
export function findMatches(catalog: Catalog, index: WordIndex, request: MatchRequest): Match[] {
  const matches = candidates(catalog, index, request.tokens).flatMap((intent) => {
    const tokens = request.tokensFor(intent);
    const filled = fillSlots(intent, request.text, tokens);
    const { score, heard } = scoreOf(intent, {
      index,
      tokens,
      filled,
      straysCount: request.straysCount,
      context: request.context,
    });
    const bonus = request.tools.has(intent.base) ? SAME_TOOL_BONUS : 0;
    return score > 0 ? [{ ...filled, intent, score: score + bonus, heard }] : [];
  });
  return matches.sort((left, right) => right.score - left.score || preference(right.intent) - preference(left.intent));
}

/** Between equals: what was declared before what was derived, this node before another. */
function preference(intent: Intent): number {
  return (intent.derived ? 0 : 2) + (intent.offers.has(THIS_NODE) ? 1 : 0);
}

/** The intents that share the most telling words with the request, in the order they were offered. */
function candidates(catalog: Catalog, index: WordIndex, tokens: readonly ReadToken[]): Intent[] {
  const rough = new Map<number, number>();
  const seen = new Set<string>();
  for (const { readings } of tokens) {
    for (const reading of readings) {
      if (reading.type !== 'term' || seen.has(reading.term)) continue;
      seen.add(reading.term);
      const weight = index.weight(reading.term);
      for (const position of index.using(reading.term)) rough.set(position, (rough.get(position) ?? 0) + weight);
    }
  }
  if (tokens.some(({ isPlace }) => isPlace)) {
    for (const [position, intent] of catalog.intents.entries()) {
      const takes = intent.slots.some((slot) => slot.kind === 'path' || slot.kind === 'url');
      if (takes) rough.set(position, (rough.get(position) ?? 0) + SLOT_WEIGHT);
    }
  }
  for (const [position, intent] of catalog.intents.entries()) {
    // An example of small words only is led by all of them, which no index tells.
    if (intent.literals.length === 0 && rough.size < MAX_CANDIDATES) rough.set(position, rough.get(position) ?? 0.1);
  }
  const best = [...rough].sort((left, right) => right[1] - left[1]).slice(0, MAX_CANDIDATES);
  return best.sort((left, right) => left[0] - right[0]).flatMap(([position]) => catalog.intents[position] ?? []);
}
