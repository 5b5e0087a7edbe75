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
  if (seen.tainted && !isAllowed(named.name, rules.allowAfterUntrusted)) {
    const from = seen.sources.length === 0 ? '' : ` (${seen.sources.slice(0, 5).join(', ')})`;
    return `${named.name} changes something, and this conversation has read text from outside${from}`;
  }
  return rules.confirmBeforeAct ? `${named.name} changes something` : undefined;
}

/** True when one of the patterns is the whole name; `*` stands for any characters but `/`. */
export function isAllowed(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(name, pattern.split('*')));
}

/** By hand and not by a regular expression: many stars would make one slow. */
function matches(name: string, [first = '', ...rest]: readonly string[]): boolean {
  if (!name.startsWith(first)) return false;
  const last = rest.pop();
  if (last === undefined) return name === first;
  let at = first.length;
  for (const piece of rest) {
    const next = name.indexOf(piece, at);
    if (next === -1 || name.slice(at, next).includes('/')) return false;
    at = next + piece.length;
  }
  const end = name.length - last.length;
  return end >= at && name.endsWith(last) && !name.slice(at, end).includes('/');
}
