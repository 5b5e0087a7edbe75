import type { Json } from '@skein/protocol';
import type { Intent, TemplatePart } from './catalog.ts';
import type { Slot } from './slot-values.ts';
import { looksLike, slotValue } from './slot-values.ts';
import type { Reading } from './word-index.ts';
import type { Token } from './words.ts';
import { isStopWord } from './words.ts';

/** A request's tokens with what each word means to the offered examples. */
export interface ReadToken {
  readonly token: Token;
  readonly readings: readonly Reading[];
  /** Whether it looks like a path or an address, and so means one, not the words in it. */
  readonly isPlace: boolean;
}

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

const POLITE = new Set(
  `please pls plz can could would will you hey hi hello now then and also just kindly ok okay so quickly quick maybe perhaps
  lets let let's us me go ahead try first next finally dear again`.split(/\s+/),
);
const WISHES = new Set(['want', 'need', 'would', 'like', 'wish']);
const CLOSING = new Set(['please', 'pls', 'plz', 'thanks', 'thank', 'you']);
const ARTICLES = new Set(['the', 'a', 'an', 'this', 'these', 'following', 'my', 'some']);
const KIND_WORDS = new Set([
  'command',
  'file',
  'page',
  'text',
  'url',
  'website',
  'site',
  'folder',
  'directory',
  'phrase',
  'words',
]);

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

interface Found {
  readonly values: Map<string, Json>;
  readonly used: Set<number>;
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

interface PlaceSearch extends Found {
  readonly tokens: readonly ReadToken[];
  readonly open: readonly Slot[];
}

/** Other text is known by the example's words around it. False when those words do not lead the request. */
function fillByPlace(intent: Intent, text: string, search: PlaceSearch): boolean {
  const { tokens, open, values, used } = search;
  let cursor = afterCourtesy(tokens);
  const opening = openingTerm(intent);
  if (opening !== undefined && !says(tokens[cursor], opening)) return false;
  for (const slot of open) {
    const around = wordsAround(intent.template, slot);
    const begin = leadEnd(intent, tokens, { around, cursor });
    if (begin === undefined) return false;
    const from = skipFillers(tokens, begin, { slot, connectors: around.before });
    const to = trailStart(tokens, from, { around, used });
    if (to <= from) continue;
    const span = tokens.slice(from, to);
    const [first] = span;
    const last = span.at(-1);
    if (first === undefined || last === undefined) continue;
    const isWhole = span.length === 1 && first.token.quoted;
    const value = slotValue(slot.kind, isWhole ? first.token.raw : text.slice(first.token.start, last.token.end), slot.schema);
    // A path or an address by its place alone must be one word that means nothing else.
    const vague = slot.kind === 'path' || slot.kind === 'url';
    if (value === undefined || (vague && !isWhole && !(span.length === 1 && isOwnWord(first)))) continue;
    values.set(slot.name, value);
    for (let index = from; index < to; index += 1) used.add(index);
    cursor = to;
  }
  return true;
}

/** The word that says what to do, where the example opens with one: then so must the request. */
function openingTerm(intent: Intent): string | undefined {
  const [first] = intent.template;
  return !intent.derived && first?.type === 'word' ? first.term : undefined;
}

function says(read: ReadToken | undefined, term: string): boolean {
  return read !== undefined && !read.token.quoted && read.readings.some((one) => one.type === 'term' && one.term === term);
}

function isOwnWord({ token, readings }: ReadToken): boolean {
  return !isStopWord(token.key) && !KIND_WORDS.has(token.key) && readings.every((reading) => reading.type === 'unknown');
}

/** Past "could you please", "I would like you to". */
function afterCourtesy(tokens: readonly ReadToken[]): number {
  let at = 0;
  while (at < tokens.length) {
    const key = tokens[at]?.token.key ?? '';
    if (POLITE.has(key)) at += 1;
    else if ((key === 'i' || key === "i'd" || key === 'we') && wishEnd(tokens, at) > at) at = wishEnd(tokens, at);
    else break;
  }
  return at;
}

function wishEnd(tokens: readonly ReadToken[], at: number): number {
  const next = tokens[at + 1]?.token.key ?? '';
  if (!WISHES.has(next)) return at;
  for (let end = at + 1; end < Math.min(tokens.length, at + 6); end += 1) if (tokens[end]?.token.key === 'to') return end + 1;
  return at;
}

interface Around {
  readonly before: readonly Word[];
  readonly after: readonly Word[];
}

type Word = Extract<TemplatePart, { type: 'word' }>;

function wordsAround(template: readonly TemplatePart[], slot: Slot): Around {
  const at = template.findIndex((part) => part.type === 'slot' && part.slot === slot);
  const before: Word[] = [];
  for (let index = at - 1; index >= 0; index -= 1) {
    const part = template[index];
    if (part?.type !== 'word') break;
    before.unshift(part);
  }
  const after: Word[] = [];
  for (let index = at + 1; index < template.length; index += 1) {
    const part = template[index];
    if (part?.type !== 'word') break;
    after.push(part);
  }
  return { before, after };
}

interface Lead {
  readonly around: Around;
  readonly cursor: number;
}

/** Where the words that lead to the slot end, or undefined when they are not there. */
function leadEnd(intent: Intent, tokens: readonly ReadToken[], lead: Lead): number | undefined {
  const { around, cursor } = lead;
  const wanted = new Set(around.before.flatMap((word) => word.term ?? []));
  if (intent.derived) for (const term of intent.related) wanted.add(term);
  if (wanted.size === 0) return exactLeadEnd(tokens, around.before, cursor);
  let anchor: number | undefined;
  for (let index = cursor; index < tokens.length; index += 1) {
    const read = tokens[index];
    if (read === undefined || read.token.quoted) break;
    const terms = read.readings.flatMap((reading) => (reading.type === 'term' ? [reading.term] : []));
    if (terms.some((term) => wanted.has(term))) anchor = index;
    else if (read.readings.some((reading) => reading.type === 'unknown')) break;
    else if (terms.some((term) => !intent.literals.includes(term))) break;
  }
  return anchor === undefined ? undefined : anchor + 1;
}

/** Small words lead only when they are all there, in order: "what is {query}". */
function exactLeadEnd(tokens: readonly ReadToken[], words: readonly Word[], cursor: number): number | undefined {
  for (const [offset, word] of words.entries()) if (tokens[cursor + offset]?.token.key !== word.key) return undefined;
  return cursor + words.length;
}

/** Past "for", "the file", "that": words between the leading ones and the text itself. */
function skipFillers(
  tokens: readonly ReadToken[],
  begin: number,
  { slot, connectors }: { readonly slot: Slot; readonly connectors: readonly Word[] },
): number {
  const linking = new Set(connectors.flatMap((word) => (word.term === undefined ? [word.key] : [])));
  const kinds = new Set([...KIND_WORDS, slot.name, slot.property ?? slot.name]);
  const key = (index: number) => (tokens[index]?.token.quoted ? '' : (tokens[index]?.token.key ?? ''));
  let at = begin;
  while (linking.has(key(at)) || ['that', 'for', 'about', 'in', 'of', 'called', 'named'].includes(key(at))) {
    if (at + 1 >= tokens.length) break;
    at += 1;
  }
  let after = at;
  while (ARTICLES.has(key(after))) after += 1;
  if (kinds.has(key(after)) && after + 1 < tokens.length) {
    at = after + 1;
    if (key(at) === 'called' || key(at) === 'named') at += 1;
  } else if (slot.kind !== 'free') {
    at = after;
  }
  return at;
}

/** Where the slot's text ends: at the example's next words, a token another slot took, or closing courtesy. */
function trailStart(
  tokens: readonly ReadToken[],
  from: number,
  { around, used }: { readonly around: Around; readonly used: ReadonlySet<number> },
): number {
  let to = tokens.length;
  for (let index = from; index < tokens.length; index += 1) if (used.has(index)) to = Math.min(to, index);
  to = cutAtWords(tokens, { from, to, words: around.after });
  while (to > from + 1 && CLOSING.has(tokens[to - 1]?.token.key ?? '')) to -= 1;
  if (to > from + 2 && tokens[to - 2]?.token.key === 'for' && tokens[to - 1]?.token.key === 'me') to -= 2;
  const leads = new Set(around.before.flatMap((word) => word.term ?? []));
  const tail = tokens[to - 1]?.readings ?? [];
  const prep = tokens[to - 2]?.token.key ?? '';
  const repeatsLead = tail.some((reading) => reading.type === 'term' && leads.has(reading.term));
  const leadSeen = tokens
    .slice(0, from)
    .some(({ readings }) => readings.some((seen) => tail.some((one) => sameTerm(seen, one))));
  if (to > from + 2 && repeatsLead && !leadSeen && isStopWord(prep)) to -= 2;
  return to;
}

function sameTerm(left: Reading, right: Reading): boolean {
  return left.type === 'term' && right.type === 'term' && left.term === right.term;
}

function cutAtWords(
  tokens: readonly ReadToken[],
  { from, to, words }: { readonly from: number; readonly to: number; readonly words: readonly Word[] },
): number {
  const [first] = words;
  if (first === undefined) return to;
  for (let index = to - 1; index > from; index -= 1) {
    const here = tokens[index];
    if (here === undefined || here.token.quoted) continue;
    const same =
      first.term === undefined
        ? here.token.key === first.key
        : here.readings.some((reading) => reading.type === 'term' && reading.term === first.term);
    if (same) return index;
  }
  return to;
}
