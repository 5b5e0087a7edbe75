import type { Json } from '@skein/protocol';
import type { Intent } from './catalog.ts';
import type { Slot } from './slot-values.ts';
import { looksLike, slotValue } from './slot-values.ts';
import type { Found } from './text-slots.ts';
import { fillByPlace } from './text-slots.ts';
import type { ReadToken } from './word-index.ts';

export interface Filled {
  readonly values: ReadonlyMap<string, Json>;
  /** Slots that nothing was found for, though the input has a place for them. */
  readonly missing: readonly Slot[];
  /** Further values for a path or an address, where several were named: each is a request of its own. */
  readonly further: readonly ReadonlyMap<string, Json>[];
  /** Positions of the tokens that went into slots. */
  readonly used: ReadonlySet<number>;
  /** False when the request isn't built as the example is, so that what would be the slot's text is not. */
  readonly aligned: boolean;
}

/** Slots whose text is known by its place alone, if not by its look. */
const TEXT_KINDS: ReadonlySet<string> = new Set(['free', 'list', 'path', 'url']);

/** Finds the text for each of an intent's slots in a request. */
export function fillSlots(intent: Intent, text: string, tokens: readonly ReadToken[]): Filled {
  const values = new Map<string, Json>();
  const used = new Set<number>();
  fillByLook(intent, tokens, { values, used });
  const open = intent.slots.filter((slot) => !values.has(slot.name) && TEXT_KINDS.has(slot.kind));
  const aligned = open.length === 0 || fillByPlace(intent, text, { tokens, open, values, used });
  const missing = intent.slots.filter((slot) => !values.has(slot.name) && slot.property !== undefined);
  return { values, missing, used, aligned, further: furtherValues(intent, tokens, { values, used }) };
}

/** Paths, addresses, numbers and choices are known by their look, wherever they stand. */
function fillByLook(intent: Intent, tokens: readonly ReadToken[], found: Found): void {
  for (const slot of intent.slots) {
    const at = tokens.findIndex(({ token }, index) => !found.used.has(index) && looksLike(slot.kind, token, slot.schema));
    const token = tokens[at]?.token;
    const value = token === undefined ? undefined : slotValue(slot.kind, token.raw, slot.schema);
    if (value === undefined) continue;
    found.values.set(slot.name, value);
    found.used.add(at);
  }
}

const MAX_FURTHER = 15;

/** "Read /etc/hosts and /etc/hostname": the values after the first, for an intent with that one slot. */
function furtherValues(intent: Intent, tokens: readonly ReadToken[], found: Found): Map<string, Json>[] {
  const [slot] = intent.slots;
  if (slot === undefined || intent.slots.length > 1 || (slot.kind !== 'path' && slot.kind !== 'url')) return [];
  if (!found.values.has(slot.name)) return [];
  const further: Map<string, Json>[] = [];
  for (const [index, { token }] of tokens.entries()) {
    if (further.length === MAX_FURTHER || found.used.has(index) || !looksLike(slot.kind, token, slot.schema)) continue;
    const value = slotValue(slot.kind, token.raw, slot.schema);
    if (value === undefined) continue;
    found.used.add(index);
    further.push(new Map([[slot.name, value]]));
  }
  return further;
}
