import type { Catalog } from './catalog.ts';
import { placeOf, THIS_NODE } from './catalog.ts';
import type { JsonObject } from './slot-values.ts';
import { isJsonObject } from './slot-values.ts';
import type { Subject } from './subject.ts';
import { offersOf } from './subject.ts';
import type { Token } from './words.ts';

export type ExplicitCall =
  | { readonly type: 'call'; readonly subject: Subject }
  | { readonly type: 'say'; readonly text: string };

/**
 * A call said as such: `us-monitor/read_file {"path": "/etc/hostname"}`, or a full name alone where nothing is required.
 * A tool's name without a node counts only with its input behind it.
 */
export function findExplicitCall(text: string, tokens: readonly Token[], catalog: Catalog): ExplicitCall | undefined {
  const token = tokens.slice(0, 4).find((candidate) => !candidate.quoted && find(catalog, candidate.raw) !== undefined);
  if (token === undefined) return undefined;
  const tool = find(catalog, token.raw);
  if (tool === undefined) return undefined;
  const rest = text.slice(token.end).trim();
  const { label, base } = placeOf(tool);
  const isFull = label !== THIS_NODE;
  if (!rest.startsWith('{') && (!isFull || rest.replaceAll('?', '').trim() !== '')) return undefined;
  const input = rest.startsWith('{') ? parseObject(rest) : {};
  const required = Array.isArray(tool.input.required) ? tool.input.required.map(String) : [];
  if (input === undefined || !required.every((key) => Object.hasOwn(input, key))) {
    const shape = JSON.stringify(Object.fromEntries(required.map((key) => [key, '…'])));
    return { type: 'say', text: `${token.raw} needs its input as JSON behind its name: ${token.raw} ${shape}` };
  }
  const offers = new Map([...offersOf(base, catalog), [label, tool.name]]);
  return {
    type: 'call',
    subject: { base, input, intent: undefined, offers, labels: [label], comparison: undefined, about: '' },
  };
}

function find(catalog: Catalog, name: string) {
  for (const tools of catalog.tools.values()) {
    const tool = tools.find((candidate) => candidate.name === name);
    if (tool !== undefined) return tool;
  }
  return undefined;
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    // Not JSON: the caller says what is expected.
    return undefined;
  }
}
