import type { Catalog, Intent } from './catalog.ts';
import { THIS_NODE } from './catalog.ts';
import { phraseOf } from './word-index.ts';

/** Suggestions there are at least, and at most: each tool has its own before one has two. */
const FEW_SUGGESTIONS = 8;
const MAX_SUGGESTIONS = 32;
/** Of them, how many that nearly match may come first. */
const MAX_NEAR = 3;

export interface SuggestionOptions {
  readonly thisNode: string;
  /** Intents that nearly match what was asked. */
  readonly near?: readonly Intent[];
  /** Only what these nodes offer. */
  readonly only?: readonly string[];
}

function offering(intent: Intent, { only }: SuggestionOptions): string[] {
  const labels = [...intent.offers.keys()];
  return only === undefined ? labels : labels.filter((label) => only.includes(label));
}

/** What could be asked, from the tools' own examples, grouped by node; at most 32, likeliest first. */
export function suggestions(catalog: Catalog, options: SuggestionOptions): string {
  const chosen = chooseIntents(catalog, options);
  const groups = new Map<string, string[]>();
  for (const intent of chosen) {
    const where = offering(intent, options).map((label) => nameOf(label, options.thisNode));
    const key = listOf(where.length > 4 ? [...where.slice(0, 3), `${where.length - 3} more`] : where);
    const phrases = groups.get(key) ?? [];
    phrases.push(`“${clip(phraseOf(intent), 80)}”`);
    groups.set(key, phrases);
  }
  return [...groups].map(([where, phrases]) => `- on ${where}: ${phrases.join(', ')}`).join('\n');
}

/** The near ones first, then one of each tool in turn, so that every tool shows before one shows twice. */
function chooseIntents(catalog: Catalog, options: SuggestionOptions): Intent[] {
  const chosen = new Set((options.near ?? []).slice(0, MAX_NEAR));
  const byTool = new Map<string, Intent[]>();
  for (const intent of catalog.intents.toSorted((left, right) => appeal(right) - appeal(left))) {
    // What changes something is not found by its name alone, so its name is no way to ask for it.
    if (offering(intent, options).length === 0 || (intent.derived && !intent.repeatable)) continue;
    const list = byTool.get(intent.base);
    // A name made into words is a poor example where the tool has better ones.
    if (list === undefined) byTool.set(intent.base, [intent]);
    else if (!intent.derived) list.push(intent);
  }
  const most = Math.min(MAX_SUGGESTIONS, Math.max(FEW_SUGGESTIONS, byTool.size + chosen.size));
  for (let round = 0; round < FEW_SUGGESTIONS && chosen.size < most; round += 1) {
    for (const list of byTool.values()) {
      const intent = list[round];
      if (intent !== undefined && chosen.size < most) chosen.add(intent);
    }
  }
  return [...chosen];
}

/** What shows first: plain questions with a number for an answer, then other examples, then names made into words. */
function appeal(intent: Intent): number {
  if (intent.derived) return 0;
  return intent.example.field === undefined || intent.slots.length > 0 ? 1 : 2;
}

/** How a node is called in an answer. */
export function nameOf(label: string, thisNode: string): string {
  return label === THIS_NODE ? thisNode : clip(label, 64);
}

/** "a", "a and b", "a, b and c". */
export function listOf(words: readonly string[]): string {
  const last = words.at(-1);
  if (last === undefined) return '';
  return words.length === 1 ? last : `${words.slice(0, -1).join(', ')} and ${last}`;
}

export function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).toWellFormed()}…`;
}
