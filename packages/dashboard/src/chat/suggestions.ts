import type { OfferedTool } from '@skein/agent';

const MAX_SUGGESTIONS = 4;

/** A request that is about several machines already. */
const ASKS_ALL = /\b(?:which|every|each|all)\b/i;

/** Requests the tools at hand say they are for, one a kind of tool and spread over the peers. */
export function suggestionsFrom(tools: readonly OfferedTool[]): string[] {
  const peers = [...new Set(tools.map((tool) => tool.peer ?? null))];
  const suggestions: string[] = [];
  const used = new Set<string>();
  for (let round = 0; round < MAX_SUGGESTIONS && suggestions.length < MAX_SUGGESTIONS; round += 1) {
    for (const peer of peers) {
      const found = tools
        .filter((tool) => (tool.peer ?? null) === peer && tool.effect === 'read')
        .flatMap((tool) => tool.examples)
        .find((example) => !example.say.includes('{') && !used.has(example.say));
      if (found === undefined || suggestions.length >= MAX_SUGGESTIONS) continue;
      used.add(found.say);
      const say = found.say.replace(/[?.!]+$/, '');
      suggestions.push(
        `${say.charAt(0).toUpperCase()}${say.slice(1)}${peer === null || ASKS_ALL.test(say) ? '' : ` on ${peer}`}?`,
      );
    }
  }
  return suggestions;
}
