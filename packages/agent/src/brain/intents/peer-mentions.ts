import { THIS_NODE } from './catalog.ts';
import { gradeTerm } from './grades.ts';
import type { KnownNames, NamedNode } from './peer-names.ts';
import { findNames, STRICT_PLACE_WORDS } from './peer-names.ts';
import type { Token } from './words.ts';
import { isMachineWord, isStopWord, pieces } from './words.ts';

/** A run of tokens that says where, with what it names. */
export interface Mention {
  readonly from: number;
  /** Past its last token. */
  readonly to: number;
  readonly labels: readonly string[];
  /** Whether a preposition, a possessive or a colon marks it as a place, rather than something spoken about. */
  readonly marked: boolean;
  /** The name was spelled nearly, not exactly, like the label, or is that of several nodes. */
  readonly nearly: boolean;
  readonly excluded: boolean;
}

/** Which nodes a request speaks of. */
export interface PeerMentions {
  readonly mentions: readonly Mention[];
  /** "Every machine", "all of them", "everywhere"; `peers` leaves this node out. */
  readonly all: 'none' | 'nodes' | 'peers';
  /** "Them", "there", "it": the nodes spoken of before. */
  readonly before: boolean;
  /** "The other one": known nodes but those spoken of before. */
  readonly others: boolean;
  /** The nodes of the turn before. */
  readonly reference: readonly string[];
  /** Words that stand where a node's name would, but name none that is known. */
  readonly unknown: readonly Suspect[];
  /** Indexes of the tokens the above stand in, `mentions` apart. */
  readonly used: ReadonlySet<number>;
}

export interface Suspect {
  readonly name: string;
  readonly index: number;
  /** Certain when its look or a word for a node beside it says so, else only by its place. */
  readonly certain: boolean;
}

const PLACE_WORDS = new Set(['on', 'at', 'from', 'in', 'of', 'for', 'via', 'using', 'to', 'by']);
const BEFORE_WORDS = new Set(['them', 'they', 'their', 'these', 'those', 'there', 'it', 'its']);
const OTHER_WORDS = new Set(['other', 'others', 'rest']);
const ALL_WORDS = new Set(['all', 'every', 'each', 'both']);
const ALONE_ALL_WORDS = new Set(['everywhere', 'everyone', 'everybody']);
const WHOLE_WORDS = new Set(['network', 'cluster', 'fleet', 'mesh']);
const LINKS = new Set([
  'of',
  'the',
  'my',
  'our',
  'your',
  'these',
  'those',
  'connected',
  'known',
  'available',
  'online',
  'two',
  'three',
]);
const EXCEPT_WORDS = new Set(['except', 'excluding', 'besides', 'without', 'not', 'apart']);
/** Words between a preposition and a name. */
const OWNERS = new Set(['the', 'my', 'our', 'your']);
/** Words behind "on", "at" and "from" that make no place of it: "on average", "at once". */
const NO_NAMES = new Set('average once last first time times purpose demand night noon midnight hand own way foot'.split(' '));
/** Words for when, besides those that say nothing anyway. */
const TIME_WORDS = new Set('tonight tomorrow yesterday immediately asap atm rn cheers thx'.split(' '));
const BE_WORDS = new Set(['is', 'are', 'was', 'were', 'be', 'lives', 'live', 'runs', 'sits', 'stays']);

/** True when the words before a mention make it something told, not a place to act: "the backup is on us-monitor". */
export function isTold(tokens: readonly Token[], mention: Mention): boolean {
  const before = tokens[mention.from - 1];
  return before !== undefined && BE_WORDS.has(before.key);
}

/** What is known when a request is read. */
export interface Surrounding {
  readonly known: KnownNames;
  /** Nodes of the turn before, which "there" and "the other one" refer to. */
  readonly reference: readonly string[];
  /** Whether a word is one the offered tools use, and so hardly a node's name. */
  readonly hasTerm: (word: string) => boolean;
}

export function findPeers(tokens: readonly Token[], { known, reference, hasTerm }: Surrounding): PeerMentions {
  const named = findNames(tokens, known);
  const used = new Set<number>();
  const mentions = joinMentions(tokens, named);
  const taken = new Set(mentions.flatMap((mention) => range(mention.from, mention.to)));
  const all = findAll(tokens, taken, used);
  const others = reference.length > 0 && findOthers(tokens, taken, used);
  const before = reference.length > 0 && !others && findBefore(tokens, taken, used);
  const unknown = findUnknown(tokens, { taken, used, hasTerm, mentions });
  return { mentions, all, before, others, reference, unknown, used };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** Names joined by commas and "and" are one mention, with the small words before and after them. */
function joinMentions(tokens: readonly Token[], named: readonly NamedNode[]): Mention[] {
  const groups: NamedNode[][] = [];
  for (const name of named) {
    const last = groups.at(-1)?.at(-1);
    const between = last === undefined ? undefined : tokens.slice(last.to, name.from);
    const joined = between?.every((token) => ['and', 'or', 'vs', 'versus', 'plus', '&'].includes(token.key)) ?? false;
    if (joined) groups.at(-1)?.push(name);
    else groups.push([name]);
  }
  return groups.flatMap((group) => {
    const first = group[0];
    const last = group.at(-1);
    if (first === undefined || last === undefined) return [];
    return [widen(tokens, { from: first.from, to: last.to, group })];
  });
}

function widen(tokens: readonly Token[], span: { from: number; to: number; group: readonly NamedNode[] }): Mention {
  let { from, to } = span;
  const is = (index: number, words: ReadonlySet<string>) => words.has(tokens[index]?.key ?? '') && !tokens[index]?.quoted;
  if (tokens[from - 1]?.key === 'both') from -= 1;
  while (from > 0 && isMachineWord(tokens[from - 1]?.key ?? '') && tokens[from - 1]?.after === '') from -= 1;
  if (tokens[from - 1]?.key === 'the') from -= 1;
  let marked = tokens.slice(span.from, span.to).some((token) => token.possessive || token.after.includes(':'));
  if (span.group.some((name) => name.labels.includes(THIS_NODE))) marked = true;
  // "us-monitor, run ls": who is spoken to.
  if (span.from === 0 && tokens[span.to - 1]?.after.includes(',')) marked = true;
  if (from > 0 && is(from - 1, PLACE_WORDS)) {
    from -= 1;
    marked = true;
  }
  let excluded = false;
  const ofAll = tokens.slice(0, from).some(({ key, quoted }) => !quoted && (ALL_WORDS.has(key) || ALONE_ALL_WORDS.has(key)));
  const excepts = (index: number) =>
    is(index, EXCEPT_WORDS) ||
    // "All but us-monitor" leaves it out; "but on us-monitor?" asks for it.
    (tokens[index]?.key === 'but' && (ofAll || excluded)) ||
    (excluded && is(index, new Set(['other', 'than'])));
  while (from > 0 && excepts(from - 1)) {
    from -= 1;
    excluded = true;
  }
  if (tokens[from - 1]?.key === 'than' && tokens[from - 2]?.key === 'other') {
    from -= 2;
    excluded = true;
  }
  const ends = tokens[to - 1]?.after ?? '';
  if (ends === '' && isMachineWord(tokens[to]?.key ?? '')) to += 1;
  const labels = [...new Set(span.group.flatMap((name) => name.labels))];
  return { from, to, labels, marked, nearly: span.group.some((name) => name.nearly), excluded };
}

function findAll(tokens: readonly Token[], taken: ReadonlySet<number>, used: Set<number>): PeerMentions['all'] {
  for (const [index, token] of tokens.entries()) {
    if (token.quoted || taken.has(index)) continue;
    if (ALONE_ALL_WORDS.has(token.key)) return consume(tokens, { used, from: index, to: index + 1 }, 'nodes');
    const before = tokens[index - 1]?.key ?? '';
    if (WHOLE_WORDS.has(token.key) && (before === 'the' || before === 'whole' || before === 'entire')) {
      return consume(tokens, { used, from: index - 1, to: index + 1 }, 'nodes');
    }
    if (!ALL_WORDS.has(token.key)) continue;
    let end = index + 1;
    while (LINKS.has(tokens[end]?.key ?? '')) end += 1;
    const last = tokens[end]?.key ?? '';
    const peersOnly = last === 'peer' || last === 'peers';
    if (isMachineWord(last) || last === 'them' || last === 'one' || last === 'ones') {
      return consume(tokens, { used, from: index, to: end + 1 }, peersOnly ? 'peers' : 'nodes');
    }
    const closes = end === index + 1 && index === tokens.length - 1;
    if (token.key === 'both' || (closes && STRICT_PLACE_WORDS.has(before))) {
      return consume(tokens, { used, from: index, to: end }, 'nodes');
    }
  }
  return 'none';
}

function consume(
  tokens: readonly Token[],
  span: { readonly used: Set<number>; readonly from: number; readonly to: number },
  all: PeerMentions['all'],
): PeerMentions['all'] {
  for (const index of range(span.from, span.to)) span.used.add(index);
  let before = span.from - 1;
  while (before >= 0 && ['on', 'at', 'from', 'of', 'for', 'across', 'in'].includes(tokens[before]?.key ?? '')) {
    span.used.add(before);
    before -= 1;
  }
  return all;
}

function findOthers(tokens: readonly Token[], taken: ReadonlySet<number>, used: Set<number>): boolean {
  for (const [index, token] of tokens.entries()) {
    if (token.quoted || taken.has(index) || !OTHER_WORDS.has(token.key)) continue;
    const next = tokens[index + 1]?.key;
    const fits = token.key === 'others' || token.key === 'rest' || next === undefined || next === 'one' || next === 'ones';
    if (!fits && !isMachineWord(next ?? '')) continue;
    const from = tokens[index - 1]?.key === 'the' ? index - 1 : index;
    const to = next === 'one' || next === 'ones' || isMachineWord(next ?? '') ? index + 2 : index + 1;
    consume(tokens, { used, from, to }, 'nodes');
    return true;
  }
  return false;
}

function findBefore(tokens: readonly Token[], taken: ReadonlySet<number>, used: Set<number>): boolean {
  let found = false;
  for (const [index, token] of tokens.entries()) {
    if (token.quoted || taken.has(index) || used.has(index) || !BEFORE_WORDS.has(token.key)) continue;
    // "Is there", "there is": nobody's place.
    const beside = [tokens[index - 1]?.key ?? '', tokens[index + 1]?.key ?? ''];
    if (token.key === 'there' && beside.some((key) => BE_WORDS.has(key))) continue;
    if (token.key === 'it' && beside.some((key) => BE_WORDS.has(key) || key === 'has')) continue;
    consume(tokens, { used, from: index, to: index + 1 }, 'nodes');
    found = true;
  }
  return found;
}

interface UnknownSearch {
  readonly taken: ReadonlySet<number>;
  readonly used: ReadonlySet<number>;
  readonly mentions: readonly Mention[];
  readonly hasTerm: (word: string) => boolean;
}

function findUnknown(tokens: readonly Token[], search: UnknownSearch): Suspect[] {
  const suspects: Suspect[] = [];
  for (const [index, token] of tokens.entries()) {
    if (search.taken.has(index) || search.used.has(index) || !isNameLike(token)) continue;
    let at = index - 1;
    let beside = isMachineWord(tokens[index + 1]?.key ?? '');
    while (at >= 0 && (isMachineWord(tokens[at]?.key ?? '') || OWNERS.has(tokens[at]?.key ?? ''))) {
      beside ||= isMachineWord(tokens[at]?.key ?? '');
      at -= 1;
    }
    const place = STRICT_PLACE_WORDS.has(tokens[at]?.key ?? '');
    const dashed = /[a-z]/.test(token.key) && /[-_\d]/.test(token.key);
    const spoken =
      gradeTerm(token.key) !== undefined ||
      isStopWord(token.key) ||
      isMachineWord(token.key) ||
      NO_NAMES.has(token.key) ||
      TIME_WORDS.has(token.key) ||
      pieces(token.key).every(search.hasTerm);
    const follows = at <= 1 && ['and', 'about'].includes(tokens[at]?.key ?? '') && closes(tokens, index);
    const listed = isListed(tokens, { index, at, place, mentions: search.mentions });
    if (spoken) continue;
    const name = token.possessive ? token.raw.slice(0, token.key.length) : token.raw;
    if ((place && (dashed || beside)) || (token.possessive && dashed) || listed) suspects.push({ name, index, certain: true });
    else if ((place && (standsApart(tokens, index) || endsPhrase(tokens, index))) || follows)
      suspects.push({ name, index, certain: false });
  }
  return suspects;
}

/** Whether nothing is said after a token but when, please and thanks. */
function closes(tokens: readonly Token[], index: number): boolean {
  return tokens.slice(index + 1).every(({ key, quoted }) => !quoted && (isStopWord(key) || TIME_WORDS.has(key)));
}

/** Whether a place that ends at a token stands before or after all else that is said: "on mars, …", "… on mars please". */
export function standsApart(tokens: readonly Token[], index: number): boolean {
  return closes(tokens, index) || (index === 1 && /[,:]/.test(tokens[index]?.after ?? ''));
}

function endsPhrase(tokens: readonly Token[], index: number): boolean {
  const next = tokens[index + 1]?.key ?? '';
  return /[,;]/.test(tokens[index]?.after ?? '') || next === 'and' || next === 'then';
}

/** Whether a word is listed with known nodes: "on us-monitor and mars", "on mars and us-monitor". */
function isListed(
  tokens: readonly Token[],
  place: { readonly index: number; readonly at: number; readonly place: boolean; readonly mentions: readonly Mention[] },
): boolean {
  const { index, at, mentions } = place;
  const isLink = (key: string | undefined) => key === 'and' || key === 'or' || key === '&';
  const before = isLink(tokens[at]?.key) ? at : undefined;
  const behind = before !== undefined && mentions.some(({ to, marked, excluded }) => to === before && marked && !excluded);
  if (behind && closes(tokens, index)) return true;
  const next = isLink(tokens[index + 1]?.key) ? index + 2 : index + 1;
  const links = next === index + 2 || (tokens[index]?.after ?? '').includes(',');
  return place.place && links && mentions.some(({ from }) => from === next);
}

function isNameLike(token: Token): boolean {
  return (
    !token.quoted && token.raw.length <= 64 && /^[\p{L}\p{N}][\p{L}\p{N}._'’-]*$/u.test(token.raw) && /\p{L}/u.test(token.raw)
  );
}
