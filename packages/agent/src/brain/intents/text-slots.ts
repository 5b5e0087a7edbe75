import type { Json } from '@skein/protocol';
import type { Intent, TemplatePart } from './catalog.ts';
import type { Slot } from './slot-values.ts';
import { slotValue } from './slot-values.ts';
import type { Reading, ReadToken } from './word-index.ts';
import { isStopWord } from './words.ts';

export const POLITE: ReadonlySet<string> = new Set(
  `please pls plz can could would will you hey hi hello now then and also just kindly ok okay so quickly quick maybe perhaps
  lets let let's us me go ahead try first next finally dear again`.split(/\s+/),
);
const WISHES = new Set(['want', 'need', 'would', 'like', 'wish']);
const PLEAS = new Set(['please', 'pls', 'plz']);
const ARTICLES = new Set(['the', 'a', 'an', 'this', 'these', 'following', 'my', 'some']);
const PRONOUNS = new Set(['it', 'this', 'that', 'them', 'these', 'those', 'something', 'anything']);
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

/** What was found for an intent's slots so far. */
export interface Found {
  readonly values: Map<string, Json>;
  readonly used: Set<number>;
}

interface PlaceSearch extends Found {
  readonly tokens: readonly ReadToken[];
  readonly open: readonly Slot[];
}

/** Other text is known by the example's words around it. False when those words do not lead the request. */
export function fillByPlace(intent: Intent, text: string, search: PlaceSearch): boolean {
  const { tokens, open, values, used } = search;
  let cursor = afterCourtesy(tokens);
  const opening = openingTerm(intent);
  if (opening !== undefined && !says(tokens[cursor], opening)) return false;
  for (const slot of open) {
    const around = wordsAround(intent.template, slot);
    const begin = leadEnd(intent, tokens, { around, cursor, used });
    if (begin === undefined) return false;
    const from = skipFillers(tokens, begin, { slot, connectors: around.before });
    const to = trailStart(tokens, from, { around, used });
    if (to <= from) continue;
    const span = tokens.slice(from, to);
    const [first] = span;
    const last = span.at(-1);
    if (first === undefined || last === undefined) continue;
    const isWhole = span.length === 1 && first.token.quoted;
    // "Forget it", "run that": no text, but what was spoken of.
    if (span.every(({ token }) => !token.quoted && PRONOUNS.has(token.key))) continue;
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
  /** Whether no other slot stands before it. */
  readonly isFirst: boolean;
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
  const isFirst = !template.slice(0, at).some((part) => part.type === 'slot');
  return { before, after, isFirst };
}

interface Lead {
  readonly around: Around;
  readonly cursor: number;
  readonly used: ReadonlySet<number>;
}

/** Where the words that lead to the slot end, or undefined when they are not there. */
function leadEnd(intent: Intent, tokens: readonly ReadToken[], lead: Lead): number | undefined {
  const { around, cursor, used } = lead;
  const wanted = new Set(around.before.flatMap((word) => word.term ?? []));
  if (intent.derived) for (const term of intent.related) wanted.add(term);
  if (wanted.size === 0) return exactLeadEnd(tokens, around, { cursor, used });
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

/** Small words lead only when they are all there, in order: "what is {query}". Behind a slot they follow its text. */
function exactLeadEnd(
  tokens: readonly ReadToken[],
  { before, isFirst }: Around,
  { cursor, used }: Omit<Lead, 'around'>,
): number | undefined {
  const starts = isFirst ? [cursor] : [cursor, ...[...used].map((index) => index + 1)];
  const start = starts.find((from) => before.every((word, offset) => tokens[from + offset]?.token.key === word.key));
  return start === undefined ? undefined : start + before.length;
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
  if (to === tokens.length) to = beforeCourtesy(tokens, from);
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

/** Before a closing "please", ", thanks", ", thank you" or "for me". Thanks without a comma may be part of the text. */
function beforeCourtesy(tokens: readonly ReadToken[], from: number): number {
  const key = (index: number) => tokens[index]?.token.key ?? '';
  let to = tokens.length;
  while (to > from + 1) {
    const words = key(to - 2) === 'thank' && key(to - 1) === 'you' ? 2 : 1;
    const isThanks = words === 2 || key(to - 1) === 'thanks';
    const before = tokens[to - words - 1]?.token;
    const thanks = tokens[to - words]?.token;
    // A gap is where words that say where were taken out.
    const isApart = before !== undefined && thanks !== undefined && (before.after !== '' || thanks.start > before.end + 1);
    if (PLEAS.has(key(to - 1)) || (isThanks && isApart)) to -= words;
    else if (to > from + 2 && key(to - 2) === 'for' && key(to - 1) === 'me') to -= 2;
    else break;
  }
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
