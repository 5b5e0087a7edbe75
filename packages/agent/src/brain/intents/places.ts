import type { Intent } from './catalog.ts';
import { THIS_NODE } from './catalog.ts';
import type { Mention, PeerMentions, Suspect } from './peer-mentions.ts';
import { isTold } from './peer-mentions.ts';
import type { ReadToken } from './word-index.ts';
import type { Token } from './words.ts';

/** Where a request is to be done, as far as its words say. */
export interface Places {
  readonly named: readonly string[];
  readonly excluded: readonly string[];
  readonly all: PeerMentions['all'];
  readonly before: boolean;
  readonly others: boolean;
  /** A name was spelled nearly, not exactly. */
  readonly nearly: boolean;
  readonly unknown: readonly Suspect[];
}

/** Whether the words say anything about where. */
export function saysWhere(places: Places): boolean {
  return places.named.length > 0 || places.excluded.length > 0 || places.all !== 'none' || places.before || places.others;
}

/** A request's tokens for one intent: without those that say where, and what these said. */
export interface Located {
  readonly tokens: readonly ReadToken[];
  readonly places: Places;
}

const EDGE_WORDS = new Set([
  'please',
  'pls',
  'plz',
  'thanks',
  'thank',
  'you',
  'now',
  'too',
  'again',
  'hey',
  'hi',
  'ok',
  'okay',
  'and',
]);

/**
 * Takes the words that say where out of a request. For an intent that takes free text only those at its edges: inside,
 * a node's name is part of the text, and so it is at the end when the intent isn't to be had there.
 */
export function locate(tokens: readonly ReadToken[], found: PeerMentions, intent: Intent | undefined): Located {
  const isFree = intent?.slots.some((slot) => slot.kind === 'free' || slot.kind === 'list') ?? false;
  const removed = isFree && intent !== undefined ? edgeWords(tokens, found, intent) : everyPlaceWord(found);
  const mentions = found.mentions.filter((mention) => removed.has(mention.from));
  const usedLeft = [...found.used].some((index) => removed.has(index));
  return {
    tokens: tokens.filter((_, index) => !removed.has(index)),
    places: {
      named: unique(mentions.filter((mention) => !mention.excluded).flatMap((mention) => mention.labels)),
      excluded: unique(mentions.filter((mention) => mention.excluded).flatMap((mention) => mention.labels)),
      all: usedLeft ? found.all : 'none',
      before: usedLeft && found.before,
      others: usedLeft && found.others,
      nearly: mentions.some((mention) => mention.nearly),
      unknown: found.unknown,
    },
  };
}

function everyPlaceWord(found: PeerMentions): Set<number> {
  const removed = new Set(found.used);
  for (const mention of found.mentions) addSpan(removed, mention);
  return removed;
}

function addSpan(set: Set<number>, mention: Mention): void {
  for (let index = mention.from; index < mention.to; index += 1) set.add(index);
}

function edgeWords(tokens: readonly ReadToken[], found: PeerMentions, intent: Intent): Set<number> {
  const plain = tokens.map(({ token }) => token);
  const fitting = found.mentions.filter((mention) => {
    const offered = mention.labels.every((label) => intent.offers.has(label));
    return mention.marked && offered && !isTold(plain, mention);
  });
  const removed = new Set<number>();
  const byEnd = new Map(fitting.map((mention) => [mention.to, mention]));
  let at = tokens.length;
  while (at > 0) {
    const mention = byEnd.get(at);
    const from = mention?.from ?? runBefore(plain, { found, intent, to: at });
    if (from === undefined && !EDGE_WORDS.has(plain[at - 1]?.key ?? '')) break;
    if (from !== undefined) for (let index = from; index < at; index += 1) removed.add(index);
    at = from ?? at - 1;
  }
  const byStart = new Map(fitting.map((mention) => [mention.from, mention]));
  at = 0;
  while (at < tokens.length) {
    const mention = byStart.get(at);
    if (mention === undefined && !EDGE_WORDS.has(plain[at]?.key ?? '')) break;
    if (mention !== undefined) addSpan(removed, mention);
    at = mention?.to ?? at + 1;
  }
  return removed;
}

const RUN_OPENERS = new Set(['on', 'at', 'from', 'across', 'there', 'everywhere']);

/**
 * The start of "on all machines", "there" that ends at `to`, where the intent can be had at the nodes it speaks of. Only
 * behind a word that asks for a place: "remember to patch all machines" is a text.
 */
function runBefore(
  tokens: readonly Token[],
  { found, intent, to }: { readonly found: PeerMentions; readonly intent: Intent; readonly to: number },
): number | undefined {
  let from = to;
  while (from > 0 && found.used.has(from - 1)) from -= 1;
  if (from === to || !RUN_OPENERS.has(tokens[from]?.key ?? '')) return undefined;
  const fits = found.all === 'none' ? found.reference.some((label) => intent.offers.has(label)) : intent.offers.size > 1;
  return fits ? from : undefined;
}

function unique(labels: readonly string[]): string[] {
  return [...new Set(labels)];
}

/** What the conversation was about so far. */
interface Whereabouts {
  /** The nodes of the turn before. */
  readonly labels: readonly string[];
  /** Those of the turns before that this one follows up, in order. */
  readonly recent: readonly string[];
}

export type Placement =
  | {
      readonly type: 'nodes';
      readonly labels: readonly string[] /** Named, but not offering it. */;
      readonly absent: readonly string[];
    }
  | { readonly type: 'ask' }
  | { readonly type: 'confirm'; readonly labels: readonly string[] };

export interface PlacementRequest {
  readonly offers: ReadonlyMap<string, string>;
  /** All other nodes there are. */
  readonly peers: readonly string[];
  /** Whether asking more than one node does no harm: the tool only reads. */
  readonly repeatable: boolean;
  readonly hasSlots: boolean;
  readonly places: Places;
  readonly before: Whereabouts;
  readonly compares: boolean;
  /** Whether the request follows up the one before, so that its nodes are meant when none are named. */
  readonly follows: boolean;
}

/**
 * The nodes a request goes to. Named ones first; then all, the others, those of before. With none said: the only one
 * that offers it; for a comparison or a reading, all that do; for what takes an argument this node if it can; for what
 * changes something this node if it can, and else it is asked which.
 */
export function placeRequest(request: PlacementRequest): Placement {
  const { offers, peers, repeatable, hasSlots, places, before, compares, follows } = request;
  const offering = [...offers.keys()];
  if (places.named.length > 0) {
    const labels = places.named.filter((label) => offers.has(label));
    if (places.nearly && !repeatable && labels.length > 0) return { type: 'confirm', labels };
    return { type: 'nodes', labels, absent: places.named.filter((label) => !offers.has(label)) };
  }
  const nodes = (labels: readonly string[]): Placement => ({ type: 'nodes', labels, absent: [] });
  const left = offering.filter((label) => !places.excluded.includes(label));
  if (places.all !== 'none') {
    const labels = left.filter((label) => places.all === 'nodes' || label !== THIS_NODE);
    return { type: 'nodes', labels, absent: peers.filter((label) => !offers.has(label) && !places.excluded.includes(label)) };
  }
  if (places.excluded.length > 0 && left.length > 0) return nodes(left);
  const others = offering.filter((label) => !before.labels.includes(label));
  if (places.others) return others.length > 0 ? nodes(others) : { type: 'ask' };
  if (compares) {
    const recent = before.recent.filter((label) => offers.has(label));
    return nodes((places.before || follows) && recent.length > 1 ? recent : offering);
  }
  const same = before.labels.filter((label) => offers.has(label));
  if ((places.before || follows) && same.length > 0) return nodes(same);
  if (offering.length <= 1) return nodes(offering);
  if (repeatable && !hasSlots) return nodes(offering);
  if (offers.has(THIS_NODE)) return nodes([THIS_NODE]);
  return repeatable ? nodes(offering) : { type: 'ask' };
}
