import type { Json, ToolExample } from '@skein/protocol';
import type { OfferedTool } from '../brain.ts';
import type { JsonObject, Slot } from './slot-values.ts';
import { isJsonObject, slotKindOf } from './slot-values.ts';
import { HAVING_WORDS } from './vocabulary.ts';
import { pieces, TermMemo } from './words.ts';

/** The label of this node: its own tools carry no peer. */
export const THIS_NODE = '';

/** One way of asking for one tool, and every node that offers it so. */
export interface Intent {
  /** The tool's name without a peer in front. */
  readonly base: string;
  readonly example: ToolExample;
  /** True when the tool declared no such example and its name and description stand in for one. */
  readonly derived: boolean;
  /** Whether asking several nodes does no harm: the tool only reads on every node that offers it. */
  repeatable: boolean;
  /** Full tool name by the label of the node that offers it. */
  readonly offers: Map<string, string>;
  /** The example's words and slots, in order. */
  readonly template: readonly TemplatePart[];
  readonly slots: readonly Slot[];
  /** Distinct content words of the example, slots apart. */
  readonly literals: readonly string[];
  /** Whether the example asks what something has: "how much memory does it have" is less likely meant by "memory". */
  readonly asksHaving: boolean;
  /** Further words that fit this intent without being needed: of its label, its tool's name and description. */
  readonly related: ReadonlySet<string>;
  readonly properties: JsonObject;
  readonly required: readonly string[];
}

export type TemplatePart =
  | { readonly type: 'word'; readonly key: string; readonly term: string | undefined }
  | { readonly type: 'slot'; readonly slot: Slot };

/** Everything that can be asked of the offered tools. */
export interface Catalog {
  readonly intents: readonly Intent[];
  /** Labels of the other nodes, those that share tools first. */
  readonly peers: readonly string[];
  /** Whether this node offers tools of its own. */
  readonly here: boolean;
  /** Full names, by label. */
  readonly tools: ReadonlyMap<string, readonly OfferedTool[]>;
}

/** The node a tool runs on, and its name there. */
export function placeOf(tool: { readonly name: string; readonly peer?: string }): {
  readonly label: string;
  readonly base: string;
} {
  const slash = tool.name.lastIndexOf('/');
  const label = tool.peer ?? (slash < 0 ? THIS_NODE : tool.name.slice(0, slash));
  return { label, base: tool.name.slice(slash + 1) };
}

/**
 * Groups what the tools declare: the same example of the same tool on several nodes is one intent. What one node declares
 * never applies to another that doesn't declare the very same, input, field and label included.
 */
export function buildCatalog(tools: readonly OfferedTool[], connected: readonly string[] = []): Catalog {
  const intents = new Map<string, Intent>();
  const byLabel = new Map<string, OfferedTool[]>();
  const memo = new TermMemo();
  for (const tool of tools) {
    const { label, base } = placeOf(tool);
    const list = byLabel.get(label);
    if (list === undefined) byLabel.set(label, [tool]);
    else list.push(tool);
    const shape = shapeOf(tool, base, memo);
    for (const { example, derived } of examplesOf(tool, shape)) {
      if (!canFill(example, shape.required)) continue;
      const key = keyOf(example, shape);
      const known = intents.get(key);
      if (known === undefined) intents.set(key, compile(tool, { example, derived, shape, label, memo }));
      else if (!known.offers.has(label)) {
        known.offers.set(label, tool.name);
        // It is safe to ask several nodes only where it is safe on each of them.
        known.repeatable &&= tool.effect === 'read';
      }
    }
  }
  return {
    intents: [...intents.values()],
    peers: [...new Set([...byLabel.keys(), ...connected])].filter((label) => label !== THIS_NODE),
    here: byLabel.has(THIS_NODE),
    tools: byLabel,
  };
}

/** What all examples of a tool share. */
interface Shape {
  readonly base: string;
  readonly name: string;
  readonly nameTerms: readonly string[];
  readonly properties: JsonObject;
  readonly required: readonly string[];
}

function shapeOf(tool: OfferedTool, base: string, memo: TermMemo): Shape {
  const name = wordsOfName(base);
  return {
    base,
    name,
    nameTerms: memo.ofText(name),
    properties: isJsonObject(tool.input.properties) ? tool.input.properties : {},
    required: requiredKeys(tool.input),
  };
}

function keyOf({ say, input, field, label, unit }: ToolExample, { base, required }: Shape): string {
  return [base, say, field, label, unit, JSON.stringify(input), ...required].join('\0');
}

function requiredKeys(schema: JsonObject): string[] {
  return Array.isArray(schema.required) ? schema.required.filter((key): key is string => typeof key === 'string') : [];
}

/** An example whose input lacks a key the schema requires can never make a valid call. */
function canFill(example: ToolExample, required: readonly string[]): boolean {
  return required.every((key) => Object.hasOwn(example.input, key));
}

interface Sourced {
  readonly example: ToolExample;
  readonly derived: boolean;
}

function examplesOf(tool: OfferedTool, { name, properties, required }: Shape): Sourced[] {
  const declared = tool.examples.map((example) => ({ example, derived: false }));
  const simple = required.every((key) => {
    const property = properties[key];
    return isJsonObject(property) && property.type !== 'object';
  });
  const wanted = declared.length === 0 ? required.length <= 2 && simple : required.length === 0;
  if (!wanted) return declared;
  const say = [name, ...required.map((key) => `{${key}}`)].join(' ').slice(0, 200);
  const input = Object.fromEntries(required.map((key) => [key, `{${key}}`]));
  return [...declared, { example: { say, input }, derived: true }];
}

function wordsOfName(base: string): string {
  return base
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_-]+/g, ' ')
    .toLowerCase();
}

interface Compiled extends Sourced {
  readonly shape: Shape;
  readonly label: string;
  readonly memo: TermMemo;
}

function compile(tool: OfferedTool, parts: Compiled): Intent {
  const { example, derived, shape, label, memo } = parts;
  const { base, properties, required } = shape;
  const template = parseTemplate(example, properties, memo);
  const literals = new Set<string>();
  const slots: Slot[] = [];
  let asksHaving = false;
  for (const part of template) {
    if (part.type === 'slot') slots.push(part.slot);
    else if (part.term !== undefined) literals.add(part.term);
    else asksHaving ||= HAVING_WORDS.has(part.key);
  }
  const related = new Set(shape.nameTerms);
  if (example.label !== undefined) for (const term of memo.ofText(example.label)) related.add(term);
  if (derived && tool.examples.length === 0) for (const term of memo.ofText(tool.description.slice(0, 300))) related.add(term);
  return {
    base,
    example,
    derived,
    repeatable: tool.effect === 'read',
    offers: new Map([[label, tool.name]]),
    template,
    slots,
    literals: [...literals],
    asksHaving,
    related,
    properties,
    required,
  };
}

/** The say text as words and slots. Scanned by hand: it comes from another node. */
function parseTemplate(example: ToolExample, properties: JsonObject, memo: TermMemo): TemplatePart[] {
  const parts: TemplatePart[] = [];
  const say = example.say;
  let at = 0;
  while (at < say.length) {
    const open = say.indexOf('{', at);
    const close = open < 0 ? -1 : say.indexOf('}', open);
    const end = close < 0 ? say.length : open;
    for (const key of pieces(say.slice(at, end).toLowerCase())) parts.push({ type: 'word', key, term: memo.of(key) });
    if (close < 0) break;
    const name = say.slice(open + 1, close).trim();
    const known = parts.some((part) => part.type === 'slot' && part.slot.name === name);
    if (name !== '' && !known) parts.push({ type: 'slot', slot: slotOf(name, example.input, properties) });
    at = close + 1;
  }
  return parts;
}

function slotOf(name: string, input: ToolExample['input'], properties: JsonObject): Slot {
  const mark = `{${name}}`;
  const property = Object.keys(input).find((key) => holds(input[key], mark));
  const declared = property === undefined ? undefined : properties[property];
  const whole = property !== undefined && input[property] === mark;
  const schema = whole && isJsonObject(declared) ? declared : {};
  return {
    name,
    kind: slotKindOf(property === undefined ? [name] : [name, property], schema),
    property,
    schema,
  };
}

function holds(value: unknown, mark: string): boolean {
  if (typeof value === 'string') return value.includes(mark);
  if (Array.isArray(value)) return value.some((item) => holds(item, mark));
  return isJsonObject(value) && Object.values(value).some((item) => holds(item, mark));
}

/**
 * The example's input with slots replaced. A property that is nothing but an unfilled slot is left out.
 * Undefined when a required property would be missing.
 */
export function fillInput(intent: Intent, values: ReadonlyMap<string, Json>): JsonObject | undefined {
  const entries = Object.entries(intent.example.input).map(([key, value]) => [key, fill(value, values)] as const);
  const input = Object.fromEntries(entries.flatMap(keepFilled));
  return intent.required.every((key) => Object.hasOwn(input, key)) ? input : undefined;
}

function fill(value: unknown, values: ReadonlyMap<string, Json>): Json | undefined {
  if (typeof value === 'string') return fillText(value, values);
  if (Array.isArray(value)) {
    const items = value.map((item) => fill(item, values));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (isJsonObject(value)) {
    const entries = Object.entries(value).map(([key, item]) => [key, fill(item, values)] as const);
    return entries.some(([, item]) => item === undefined) ? undefined : Object.fromEntries(entries.flatMap(keepFilled));
  }
  return typeof value === 'number' || typeof value === 'boolean' || value === null ? value : undefined;
}

function keepFilled([key, item]: readonly [string, Json | undefined]): (readonly [string, Json])[] {
  return item === undefined ? [] : [[key, item]];
}

/** Replaces every `{slot}` in one pass, so that a value holding `{…}` is never filled again. */
function fillText(text: string, values: ReadonlyMap<string, Json>): Json | undefined {
  let result = '';
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('{', at);
    const close = open < 0 ? -1 : text.indexOf('}', open);
    if (close < 0) return result + text.slice(at);
    const name = text.slice(open + 1, close).trim();
    // A JSON-like brace in a template is text, a name between braces is a slot.
    if (!/^\w{1,64}$/.test(name)) {
      result += text.slice(at, open + 1);
      at = open + 1;
      continue;
    }
    const value = values.get(name);
    if (value === undefined) return undefined;
    if (open === 0 && close === text.length - 1) return value;
    result += text.slice(at, open) + (typeof value === 'string' ? value : JSON.stringify(value));
    at = close + 1;
  }
  return result;
}
