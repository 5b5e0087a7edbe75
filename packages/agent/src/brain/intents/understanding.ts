import type { Catalog, Intent } from './catalog.ts';
import { asksWhichNode, findComparison, isSuperlative } from './comparison.ts';
import type { Comparison } from './grades.ts';
import type { Match } from './matching.ts';
import { CONFIDENT, findMatches, UNDERSTOOD } from './matching.ts';
import type { PeerMentions } from './peer-mentions.ts';
import { findPeers } from './peer-mentions.ts';
import type { KnownNames } from './peer-names.ts';
import { knownNames } from './peer-names.ts';
import type { Located, Places } from './places.ts';
import { locate, saysWhere } from './places.ts';
import type { Part } from './request-parts.ts';
import { splitParts } from './request-parts.ts';
import { looksLikePath, looksLikeUrl } from './slot-values.ts';
import type { ReadToken, WordIndex } from './word-index.ts';
import type { Token } from './words.ts';
import { canonical } from './words.ts';

/** A request, or a part of one, in tokens, with what says where. */
export interface Reading {
  readonly text: string;
  readonly tokens: readonly ReadToken[];
  readonly found: PeerMentions;
  /** Whether it leans on the request before. */
  readonly follows: boolean;
  readonly around: Surroundings;
}

/** What a request stands beside: that before it, when it leans on it, and that it is a part of. */
interface Surroundings {
  readonly terms: readonly string[];
  readonly tools: readonly string[];
}

const NOTHING: Surroundings = { terms: [], tools: [] };

/** What a request may mean. */
export interface Understood {
  /** Likeliest first. */
  readonly matches: readonly Match[];
  readonly comparison: Comparison | undefined;
  /** Words with a meaning of their own, names of nodes apart. */
  readonly terms: readonly string[];
  readonly places: Places;
  locationOf(intent: Intent): Located;
  /** The places another part of the same request said for this one. */
  readonly shared?: Places;
}

/** A request an example without slots fits so well is one, whatever "and" is in it. */
const WHOLE = 0.9;
/** All that was said is accounted for, but for a related word. */
const FULLY = 0.9;
/** What remembered words add to a score: enough to choose a disk by in "which one is fuller?", too little to understand by. */
const REMEMBERED = 0.3;
/** Who asks for space asks for free space. */
const IMPLIED = 0.3;
/** Words that ask for the same once more. */
export const REPEAT_WORDS = new Set(['again', 'same', 'repeat', 'redo', 'refresh', 'too', 'likewise', 'rerun', 'retry']);

interface ReadOptions {
  readonly follows: boolean;
  readonly around: Surroundings;
  /** Nodes of the turn before. */
  readonly reference: readonly string[];
}

/** Reads requests in the light of what is offered. */
export class Reader {
  readonly #catalog: Catalog;
  readonly #index: WordIndex;
  readonly #names: KnownNames;

  constructor(parts: { readonly catalog: Catalog; readonly index: WordIndex; readonly thisNode: string }) {
    this.#catalog = parts.catalog;
    this.#index = parts.index;
    this.#names = knownNames(parts.catalog.peers, parts.thisNode);
  }

  read(text: string, plain: readonly Token[], options: ReadOptions): Reading {
    const tokens = plain.map((token) => ({
      token,
      readings: token.quoted ? [] : this.#index.read(token.key),
      isPlace: looksLikePath(token.raw) || looksLikeUrl(token.raw),
    }));
    const found = findPeers(plain, {
      known: this.#names,
      reference: options.reference,
      hasTerm: (word) => this.#index.has(canonical(word)),
    });
    const around = options.follows || found.before || asksWhichNode(plain) ? options.around : NOTHING;
    return { text, tokens, found, follows: options.follows, around };
  }

  understand({ text, tokens, found, follows, around }: Reading): Understood {
    const plain = tokens.map(({ token }) => token);
    const bare = locate(tokens, found, undefined);
    const terms = contentTerms(bare.tokens, found, tokens);
    const context = new Map(around.terms.map((term) => [term, REMEMBERED]));
    if (plain.some((token) => token.key === 'space' || token.key === 'room')) context.set('free', IMPLIED);
    const betweenNodes = asksWhichNode(plain) || found.all !== 'none' || found.before || bare.places.named.length > 1;
    const locations = new Map<Intent, Located>();
    const locationOf = (intent: Intent) => {
      const isFree = intent.slots.some((slot) => slot.kind === 'free' || slot.kind === 'list');
      const location = locations.get(intent) ?? (isFree ? locate(tokens, found, intent) : bare);
      locations.set(intent, location);
      return location;
    };
    // A free text may hold what says where for another intent, so candidates are looked for by all words.
    const matches = findMatches(this.#catalog, this.#index, {
      text,
      tokens,
      tokensFor: (intent) => locationOf(intent).tokens,
      context,
      tools: new Set(around.tools),
      straysCount: !betweenNodes && !follows,
    });
    const comparison = findComparison(plain, terms);
    const preferred = comparison === undefined ? matches : preferNumbers(matches, betweenNodes);
    const isOwn = preferred[0] !== undefined && isSuperlative(preferred[0].intent) && !betweenNodes;
    return { matches: preferred, comparison: isOwn ? undefined : comparison, terms, places: bare.places, locationOf };
  }

  /** The parts of a request that each ask for something of their own, or undefined when it is one request. */
  parts(reading: Reading, whole: Understood): Parts | undefined {
    const best = whole.matches[0];
    const cuts = splitParts(reading.tokens, reading.found);
    if (cuts.length < 2 || (best !== undefined && isOne(best, cuts))) return undefined;
    const around = { terms: [...whole.terms, ...reading.around.terms], tools: reading.around.tools };
    const parts = sharePlaces(cuts.map((cut) => this.understand({ ...slice(reading, cut), around })));
    const asking = parts.filter((part) => part.terms.length > 0 || part.matches.length > 0);
    const sure = asking.filter((part) => isSure(part.matches[0]));
    const holdsBest =
      best === undefined || best.score < UNDERSTOOD || sure.some((part) => part.matches[0]?.intent === best.intent);
    if (asking.length < 2 || sure.length === 0 || (sure.length < 2 && !holdsBest)) return undefined;
    // Half a message understood is enough to look something up, not to change anything.
    const isHarmless = sure.length === asking.length || sure.every((part) => part.matches[0]?.intent.repeatable);
    if (!isHarmless) return undefined;
    const missed = cuts.filter((_, at) => asking.some((part) => part === parts[at] && !sure.includes(part)));
    return { sure, missed: missed.map((cut) => textOf(reading, cut)) };
  }
}

/** A request in parts. */
export interface Parts {
  readonly sure: readonly Understood[];
  /** What the parts that were not understood say. */
  readonly missed: readonly string[];
}

/** Whether a request is one in spite of its commas: free text takes them in, or all of it is one example. */
function isOne(best: Match, cuts: readonly Part[]): boolean {
  const takesText = best.intent.slots.some((slot) => slot.kind === 'free');
  if (best.score >= CONFIDENT && takesText) return !cuts.every((cut, at) => at === 0 || cut.apart);
  if (best.score >= CONFIDENT && best.further.length > 0) return true;
  return best.score >= WHOLE && best.heard >= FULLY && best.intent.slots.length === 0;
}

function textOf({ text, tokens }: Reading, { from, to }: Part): string {
  const first = tokens[from];
  const last = tokens[to - 1];
  return first === undefined || last === undefined ? '' : text.slice(first.token.start, last.token.end);
}

/** Where a request goes if it means this match: by its own words, else by those of the part beside it. */
export function placesOf(understood: Understood, match: Match): Places {
  const own = understood.locationOf(match.intent).places;
  return saysWhere(own) ? own : (understood.shared ?? own);
}

/** Words with a meaning of their own; suspected names of nodes have none. */
function contentTerms(tokens: readonly ReadToken[], found: PeerMentions, all: readonly ReadToken[]): string[] {
  const suspects = new Set(found.unknown.map((suspect) => all[suspect.index]));
  return tokens.flatMap((read) => {
    if (suspects.has(read) || REPEAT_WORDS.has(read.token.key)) return [];
    // "No, on eu-monitor": what is asked again elsewhere.
    if (read === all[0] && read.token.key === 'no' && read.token.after.includes(',')) return [];
    if (read.token.quoted) return [read.token.key];
    return read.readings.flatMap((reading) => (reading.type === 'empty' ? [] : [reading.term]));
  });
}

/**
 * A comparison needs a number: an example with one goes before a slightly better one without. Not before one that asks
 * for the most of something itself, unless it is nodes that are compared.
 */
function preferNumbers(matches: readonly Match[], betweenNodes: boolean): readonly Match[] {
  const [best] = matches;
  if (best === undefined || best.intent.example.field !== undefined) return matches;
  if (isSuperlative(best.intent) && !betweenNodes) return matches;
  const numbered = matches.find((match) => match.intent.example.field !== undefined);
  if (numbered === undefined || numbered.score < Math.max(UNDERSTOOD, best.score * 0.8)) return matches;
  return [numbered, ...matches.filter((match) => match !== numbered)];
}

function isSure(match: Match | undefined): boolean {
  if (match === undefined || match.missing.length > 0) return false;
  return match.score >= CONFIDENT || (match.score >= UNDERSTOOD && match.heard >= FULLY);
}

function slice(reading: Reading, part: Part): Reading {
  const within = (index: number) => index >= part.from && index < part.to;
  const shift = part.from;
  const { found } = reading;
  const used = [...found.used].filter(within).map((index) => index - shift);
  return {
    ...reading,
    tokens: reading.tokens.slice(part.from, part.to),
    found: {
      reference: found.reference,
      mentions: found.mentions
        .filter((mention) => within(mention.from))
        .map((mention) => ({ ...mention, from: mention.from - shift, to: mention.to - shift })),
      all: used.length > 0 ? found.all : 'none',
      before: used.length > 0 && found.before,
      others: used.length > 0 && found.others,
      unknown: found.unknown
        .filter((suspect) => within(suspect.index))
        .map((suspect) => ({ ...suspect, index: suspect.index - shift })),
      used: new Set(used),
    },
  };
}

/** "Disk and memory on us-monitor": a part without a place takes that of the next part that has one, else the last. */
function sharePlaces(parts: readonly Understood[]): Understood[] {
  return parts.map((part, at) => {
    if (saysWhere(part.places) || part.places.unknown.length > 0) return part;
    const after = parts.slice(at + 1).find((other) => saysWhere(other.places));
    const before = parts.slice(0, at).findLast((other) => saysWhere(other.places));
    const shared = (after ?? before)?.places;
    return shared === undefined ? part : { ...part, shared };
  });
}
