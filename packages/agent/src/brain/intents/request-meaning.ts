import type { Json } from '@skein/protocol';
import { fillInput } from './catalog.ts';
import type { Comparison } from './grades.ts';
import type { Match } from './matching.ts';
import { UNDERSTOOD } from './matching.ts';
import type { Suspect } from './peer-mentions.ts';
import { standsApart } from './peer-mentions.ts';
import type { Places } from './places.ts';
import { saysWhere } from './places.ts';
import type { Context } from './plan.ts';
import type { Slot } from './slot-values.ts';
import { looksLike, slotValue } from './slot-values.ts';
import { findTalk } from './small-talk.ts';
import type { Subject } from './subject.ts';
import type { Reading, Understood } from './understanding.ts';
import { placesOf, REPEAT_WORDS } from './understanding.ts';
import type { ReadToken } from './word-index.ts';
import type { Token } from './words.ts';

/** How near to the likeliest match another must be to go before it for being offered where it is asked for. */
const NEARLY = 0.8;
const FOLLOW_OPENERS = new Set(['and', 'also', 'or', 'but', 'then', 'so']);
/** Said to the answer before, and no part of what is asked next: "ok, and on eu-monitor?" */
const RECEIPTS = new Set([
  'ok',
  'okay',
  'oh',
  'well',
  'thanks',
  'great',
  'nice',
  'good',
  'perfect',
  'alright',
  'fine',
  'sorry',
]);

/** The nodes of "which tools does us-monitor have": those whose tools are asked for, and nothing more. */
export function askedOf({ tokens, found }: Reading): readonly string[] {
  const spoken = new Set(found.mentions.flatMap(({ from, to }) => tokens.slice(from, to)));
  if (spoken.size === 0) return [];
  const talk = findTalk(tokens.filter((read) => !spoken.has(read)).map(({ token }) => token));
  return talk === 'tools' ? [...new Set(found.mentions.flatMap(({ labels }) => labels))] : [];
}

/** Whether the request leans on the one before: it opens with "and", "what about", or says "too", "again". */
export function leansOnLast(tokens: readonly Token[], context: Context): boolean {
  if (context.subjects.length === 0) return false;
  const said = tokens.map((token) => token.key);
  const keys = said.slice(said.findIndex((key) => !RECEIPTS.has(key)));
  const opener = keys.slice(0, 2).join(' ');
  if (FOLLOW_OPENERS.has(keys[0] ?? '') || opener === 'what about' || opener === 'how about') return true;
  return keys.some((key) => REPEAT_WORDS.has(key));
}

/** The likeliest match; a nearly as likely one where the named nodes offer that and not the likeliest. */
export function bestMatch(understood: Understood): Match | undefined {
  const [best] = understood.matches;
  if (best === undefined || best.score < UNDERSTOOD) return undefined;
  const { named } = placesOf(understood, best);
  const isThere = (match: Match) => named.some((label) => match.intent.offers.has(label));
  if (named.length === 0 || isThere(best)) return best;
  return understood.matches.find((match) => match.score >= Math.max(UNDERSTOOD, best.score * NEARLY) && isThere(match)) ?? best;
}

/** What a match asks for, at no node yet; undefined when its input would lack a key the tool requires. */
export function subjectOf({ intent, values }: Match, comparison: Comparison | undefined): Subject | undefined {
  const input = fillInput(intent, values);
  if (input === undefined) return undefined;
  const about = [...values.values()].map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(', ');
  return { base: intent.base, input, intent, offers: intent.offers, labels: [], comparison, about };
}

/**
 * The name a request gives for a node that isn't known. In a text that only this node takes it is a part of the text; in
 * any other it counts as a node, since running "reboot on mars" elsewhere is worse than asking.
 */
export function unknownNode(
  reading: Reading,
  details: { readonly best: Match | undefined; readonly places: Places },
): Suspect | undefined {
  const { best, places } = details;
  const takesText = best?.intent.slots.some((slot) => slot.kind === 'free') ?? false;
  const isOnlyHere = best !== undefined && [...best.intent.offers.keys()].every((label) => label === '');
  const plain = reading.tokens.map(({ token }) => token);
  return reading.found.unknown.find((candidate) => {
    if (takesText && isOnlyHere) return false;
    if (candidate.certain) return true;
    if (saysWhere(places) || (takesText && !standsApart(plain, candidate.index))) return false;
    const token = plain[candidate.index];
    return token === undefined || !best?.intent.slots.some((slot) => looksLike(slot.kind, token, slot.schema));
  });
}

/** A reply to "which …?": the token that looks like it, else all that was said. */
export function replyValue(slot: Slot, tokens: readonly ReadToken[], text: string): Json | undefined {
  const like = tokens.find(({ token }) => token.quoted || looksLike(slot.kind, token, slot.schema));
  if (like !== undefined) return slotValue(slot.kind, like.token.raw, slot.schema);
  const first = tokens[0];
  const last = tokens.at(-1);
  if (first === undefined || last === undefined) return undefined;
  if ((slot.kind === 'path' || slot.kind === 'url') && tokens.length > 1) return undefined;
  return slotValue(slot.kind, text.slice(first.token.start, last.token.end), slot.schema);
}
