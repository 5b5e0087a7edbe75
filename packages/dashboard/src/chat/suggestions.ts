import type { OfferedTool } from '@skein/agent';

const MAX_SUGGESTIONS = 4;

/** A request that is about several machines already. */
const ASKS_ALL = /\b(?:which|every|each|all)\b/i;
const QUESTION = /^(?:how|what|which|who|whose|when|where|why|is|are|was|were|does|do|did|has|have|can)\b/i;
/** What it asks for has a most and a least. */
const AMOUNT = /^how (?:much|many)\b/i;

type Example = OfferedTool['examples'][number];

/** A tool with the machines that have it; null is this node. */
interface Kind {
  readonly peers: readonly (string | null)[];
  /** Questions about a measure first, imperatives last. */
  readonly examples: readonly Example[];
}

/**
 * Requests the tools at hand say they are for: questions before orders, one tool and one subject after the other, spread
 * over the peers, and one that compares them where several can answer it.
 */
export function suggestionsFrom(tools: readonly OfferedTool[]): string[] {
  const kinds = kindsOf(tools);
  const chosen: string[] = [];
  const used = new Set<string>();
  let turn = 0;
  for (let round = 0; round < MAX_SUGGESTIONS && chosen.length < MAX_SUGGESTIONS; round += 1) {
    for (const { peers, examples } of kinds) {
      const example = examples.find((one) => !used.has(subjectOf(one)));
      if (example === undefined || chosen.length >= MAX_SUGGESTIONS) continue;
      used.add(subjectOf(example));
      chosen.push(sentence(example.say, peers[turn % peers.length] ?? null));
      turn += 1;
      const comparison = chosen.length === 1 ? comparisonOf(kinds, used) : undefined;
      if (comparison === undefined) continue;
      used.add(subjectOf(comparison));
      chosen.push(`Which of them has the most ${comparison.label}?`);
    }
  }
  return chosen;
}

function kindsOf(tools: readonly OfferedTool[]): readonly Kind[] {
  const readers = tools.filter(({ effect }) => effect === 'read');
  return [...Map.groupBy(readers, ({ name }) => name.slice(name.lastIndexOf('/') + 1)).values()]
    .map((same) => ({
      peers: same.map(({ peer }) => peer ?? null),
      examples: same
        .flatMap(({ examples }) => examples)
        .filter(({ say }) => !say.includes('{'))
        .toSorted((one, other) => rank(one) - rank(other)),
    }))
    .toSorted((one, other) => measures(other) - measures(one));
}

/** Something else than what was chosen, where there is anything else. */
function comparisonOf(kinds: readonly Kind[], used: ReadonlySet<string>): Example | undefined {
  const amounts = kinds
    .filter(({ peers }) => new Set(peers).size > 1)
    .flatMap(({ examples }) => examples.filter(({ say, label }) => AMOUNT.test(say) && label !== undefined));
  return amounts.find((example) => !used.has(subjectOf(example))) ?? amounts[0];
}

function measures({ examples }: Kind): number {
  return examples.filter((example) => rank(example) === 0).length;
}

function rank(example: Example): number {
  if (!QUESTION.test(example.say)) return 2;
  return example.field === undefined ? 1 : 0;
}

/** `disk` of `disk.usedPercent`: one of its measures is enough. */
function subjectOf({ field, say }: Example): string {
  return field === undefined ? say : (field.split('.')[0] ?? field);
}

function sentence(say: string, peer: string | null): string {
  const words = say.replace(/[?.!]+$/, '');
  const where = peer === null || ASKS_ALL.test(words) ? '' : ` on ${peer}`;
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${where}${QUESTION.test(words) ? '?' : ''}`;
}
