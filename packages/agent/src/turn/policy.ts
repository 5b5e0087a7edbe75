import { matchesAny } from '../tool/name-pattern.ts';
import type { NamedTool } from '../tool/tool-set.ts';

/** What the request that led to a call held from outside. */
export interface Seen {
  readonly tainted: boolean;
  /** Where that came from, for people. */
  readonly sources: readonly string[];
}

export interface ActRules {
  readonly confirmBeforeAct: boolean;
  readonly allowAfterUntrusted: readonly string[];
}

/**
 * Why a person must say yes before this call, or undefined when it may run. The whole rule about untrusted text is
 * here: a model that does what such text says gets no further than this.
 */
export function reasonToAsk(named: NamedTool, seen: Seen, rules: ActRules): string | undefined {
  if (named.tool.descriptor.effect === 'read') return undefined;
  if (seen.tainted && !matchesAny(named.name, rules.allowAfterUntrusted)) {
    const from = seen.sources.length === 0 ? '' : ` (${seen.sources.slice(0, 5).join(', ')})`;
    return `${named.name} changes something, and this conversation has read text from outside${from}`;
  }
  return rules.confirmBeforeAct ? `${named.name} changes something` : undefined;
}
