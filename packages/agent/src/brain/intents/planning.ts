import type { Json } from '@skein/protocol';
import type { Catalog } from './catalog.ts';
import { fillInput } from './catalog.ts';
import { asksWhichNode } from './comparison.ts';
import { findExplicitCall } from './explicit-call.ts';
import type { Comparison } from './grades.ts';
import type { Match } from './matching.ts';
import { UNDERSTOOD } from './matching.ts';
import type { Placement, Places } from './places.ts';
import { locate, placeRequest, saysWhere } from './places.ts';
import type { Context, Planned } from './plan.ts';
import { ask, carryOut, join, say } from './plan.ts';
import { Replies } from './replies.ts';
import type { Slot } from './slot-values.ts';
import { looksLike, slotValue } from './slot-values.ts';
import { answerTalk, findTalk } from './small-talk.ts';
import type { Subject } from './subject.ts';
import { clip } from './suggestions.ts';
import type { Reading, Understood } from './understanding.ts';
import { placesOf, REPEAT_WORDS, Reader } from './understanding.ts';
import type { ReadToken } from './word-index.ts';
import { WordIndex } from './word-index.ts';
import type { Token } from './words.ts';
import { tokenize } from './words.ts';

/** Characters of a request that are considered. */
const MAX_REQUEST_CHARACTERS = 2_000;
const MAX_TOKENS = 400;
/** How near to the likeliest match another must be to go before it for being offered where it is asked for. */
const NEARLY = 0.8;
/** A reply to a question of ours is short; what is longer may be another request. */
const MAX_REPLY_TOKENS = 3;
/** A match this good is what is meant, even if it could be small talk or the answer to a question. */
const PLAIN = 0.75;

const FOLLOW_OPENERS = new Set(['and', 'also', 'or', 'but', 'then', 'so']);
const YES_WORDS = new Set(['yes', 'y', 'yeah', 'yep', 'sure', 'correct', 'right', 'ok', 'okay', 'exactly', 'indeed']);

/** Turns requests into plans; a pure function of the offered tools, the request and the context. */
export class Planner {
  readonly #catalog: Catalog;
  readonly #thisNode: string;
  readonly #reader: Reader;
  readonly #replies: Replies;

  constructor(parts: { readonly catalog: Catalog; readonly thisNode: string }) {
    this.#catalog = parts.catalog;
    this.#thisNode = parts.thisNode;
    this.#reader = new Reader({ ...parts, index: new WordIndex(parts.catalog) });
    this.#replies = new Replies(parts);
  }

  plan(request: string, context: Context): Planned {
    const text = request.slice(0, MAX_REQUEST_CHARACTERS).toWellFormed();
    const plain = tokenize(text).slice(0, MAX_TOKENS);
    if (plain.length === 0) return say(answerTalk('help', this.#catalog, this.#thisNode), context);
    const explicit = findExplicitCall(text, plain, this.#catalog);
    if (explicit?.type === 'say') return say(explicit.text, context);
    if (explicit !== undefined) return carryOut([explicit.subject], { notes: [], context, follows: false });

    const reading = this.#reader.read(text, plain, {
      follows: leansOnLast(plain, context),
      reference: context.labels,
      around: {
        terms: context.subjects.flatMap((subject) => subject.intent?.literals ?? []),
        tools: context.subjects.map((subject) => subject.base),
      },
    });
    const whole = this.#reader.understand(reading);
    const best = whole.matches[0];
    const talk = findTalk(plain);
    if (talk !== undefined && (best === undefined || best.score < PLAIN || best.intent.derived)) {
      return say(answerTalk(talk, this.#catalog, this.#thisNode), context);
    }
    const asked: Asked = { reading, context, isCut: request.length > text.length };
    const answered = this.#answerPending(asked, best);
    if (answered !== undefined) return answered;
    const parts = this.#reader.parts(reading, whole);
    if (parts === undefined) return this.#single(asked, whole);
    const missed = parts.missed.map((words) => `I did not understand “${clip(words, 100)}”.`);
    return join(
      parts.sure.map((part) => this.#single(asked, part)),
      { context, follows: reading.follows, notes: missed },
    );
  }

  /** One request: an intent with its slots and nodes, a follow-up of the one before, or words why not. */
  #single(asked: Asked, understood: Understood): Planned {
    const { reading, context } = asked;
    const best = bestMatch(understood);
    const places = best === undefined ? understood.places : placesOf(understood, best);
    const stranger = unknownNode(reading, { best, places });
    if (best === undefined) {
      const followed = this.#followUp(asked, { understood, stranger });
      if (followed !== undefined) return followed;
      if (stranger !== undefined) return say(this.#replies.unknownNode(stranger), context);
      if (understood.terms.length === 0 && places.named.length > 0) return say(this.#replies.whatThere(places.named), context);
      return say(this.#replies.notUnderstood(understood.matches), context);
    }
    if (stranger !== undefined) {
      const subject = subjectOf(best, understood.comparison);
      return say(this.#replies.unknownNode(stranger), subject === undefined ? context : { ...context, subjects: [subject] });
    }
    return this.#place(best, { asked, places, comparison: understood.comparison });
  }

  #place(match: Match, details: { asked: Asked; places: Places; comparison: Comparison | undefined }): Planned {
    const { asked, places, comparison } = details;
    const { context, reading, isCut } = asked;
    const [slot] = match.missing;
    if (slot !== undefined) {
      const text = this.#replies.whichText(match, slot, places);
      return { plan: { type: 'say', text }, context: { ...context, pending: { type: 'slot', match, slot, places } } };
    }
    if (isCut && match.intent.slots.some((candidate) => candidate.kind === 'free')) {
      const most = MAX_REQUEST_CHARACTERS.toLocaleString('en-US');
      return say(`That is too long for me: I read ${most} characters of a request, and would cut your text short.`, context);
    }
    const each = [match.values, ...match.further.map((further) => new Map([...match.values, ...further]))];
    const subjects = each.flatMap((values) => subjectOf({ ...match, values }, comparison) ?? []);
    if (subjects.length === 0) return say(this.#replies.notUnderstood([match]), context);
    const placement = placeRequest({
      offers: match.intent.offers,
      repeatable: match.intent.repeatable,
      hasSlots: match.intent.slots.length > 0,
      places,
      before: context,
      compares: comparison !== undefined && match.intent.example.field !== undefined,
      follows: reading.follows,
    });
    const follows = reading.follows || places.before;
    const planned = subjects.map((subject) => this.#dispatch(subject, placement, { context, follows }));
    return join(planned, { context, follows, notes: [] });
  }

  #dispatch(
    subject: Subject,
    placement: Placement,
    details: { readonly context: Context; readonly follows: boolean },
  ): Planned {
    const { context, follows } = details;
    const kept: Context = { ...context, subjects: [subject] };
    const offering = [...subject.offers.keys()];
    switch (placement.type) {
      case 'ask':
        return ask(this.#replies.whichNode(offering), kept, { type: 'node', subject, proposed: [] });
      case 'confirm': {
        const proposed = placement.labels.length === 1 ? placement.labels : [];
        return ask(this.#replies.confirmNode(placement.labels), kept, { type: 'node', subject, proposed });
      }
      case 'nodes': {
        const { labels, absent } = placement;
        if (labels.length === 0) return say(this.#replies.notOffered(absent, offering), kept);
        const notes = absent.length > 0 ? [this.#replies.notOffered(absent, [])] : [];
        return carryOut([{ ...subject, labels }], { notes, context, follows });
      }
    }
  }

  /** "And on eu-monitor?", "again", "which of them has least?": the subject of before, elsewhere or compared. */
  #followUp(
    asked: Asked,
    details: { readonly understood: Understood; readonly stranger: string | undefined },
  ): Planned | undefined {
    const { context, reading } = asked;
    const { understood, stranger } = details;
    const { places, comparison, terms } = understood;
    const repeats = reading.tokens.some(({ token }) => REPEAT_WORDS.has(token.key));
    // "Tell me more" compares nothing; "which has more?" and "and the least?" do.
    const plain = reading.tokens.map(({ token }) => token);
    const compares = comparison !== undefined && (reading.follows || asksWhichNode(plain) || saysWhere(places));
    if (terms.length > 0 || (!saysWhere(places) && !compares && !repeats && stranger === undefined)) return undefined;
    if (stranger !== undefined) return say(this.#replies.unknownNode(stranger), context);
    if (context.subjects.length === 0) return repeats ? say('There is nothing before this to repeat.', context) : undefined;
    const planned = context.subjects.map((subject) => {
      const placement = placeRequest({
        offers: subject.offers,
        repeatable: subject.intent?.repeatable ?? false,
        hasSlots: true,
        places,
        before: context,
        compares: comparison !== undefined && subject.intent?.example.field !== undefined,
        follows: true,
      });
      return this.#dispatch({ ...subject, comparison }, placement, { context, follows: true });
    });
    return join(planned, { context, follows: true, notes: [] });
  }

  /** The reply to a question of ours: the text that was missing, or the node. */
  #answerPending(asked: Asked, best: Match | undefined): Planned | undefined {
    const { reading, context } = asked;
    const { pending } = context;
    if (pending === undefined) return undefined;
    if (pending.type === 'node') {
      const isYes = reading.tokens.length <= 3 && reading.tokens.some(({ token }) => YES_WORDS.has(token.key));
      if (!isYes || pending.proposed.length === 0) return undefined;
      return carryOut([{ ...pending.subject, labels: pending.proposed }], { notes: [], context, follows: false });
    }
    const { match, slot } = pending;
    const isOther =
      best !== undefined && best.missing.length === 0 && best.score >= PLAIN && best.intent.base !== match.intent.base;
    if (isOther && reading.tokens.length > MAX_REPLY_TOKENS) return undefined;
    const located = locate(reading.tokens, reading.found, match.intent);
    const value = replyValue(slot, located.tokens, reading.text);
    if (value === undefined) return undefined;
    const filled: Match = {
      ...match,
      values: new Map([...match.values, [slot.name, value]]),
      missing: match.missing.filter((other) => other !== slot),
    };
    const places = saysWhere(located.places) ? located.places : pending.places;
    const alone: Asked = { ...asked, context: { ...context, pending: undefined }, reading: { ...reading, follows: false } };
    return this.#place(filled, { asked: alone, places, comparison: undefined });
  }
}

interface Asked {
  readonly reading: Reading;
  readonly context: Context;
  /** Whether the request was longer than what is considered of it. */
  readonly isCut: boolean;
}

/** Whether the request leans on the one before: it opens with "and", "what about", or says "too", "again". */
function leansOnLast(tokens: readonly Token[], context: Context): boolean {
  if (context.subjects.length === 0) return false;
  const keys = tokens.map((token) => token.key);
  const opener = keys.slice(0, 2).join(' ');
  if (FOLLOW_OPENERS.has(keys[0] ?? '') || opener === 'what about' || opener === 'how about') return true;
  return keys.some((key) => REPEAT_WORDS.has(key));
}

/** The likeliest match; a nearly as likely one where the named nodes offer that and not the likeliest. */
function bestMatch(understood: Understood): Match | undefined {
  const [best] = understood.matches;
  if (best === undefined || best.score < UNDERSTOOD) return undefined;
  const { named } = placesOf(understood, best);
  const isThere = (match: Match) => named.some((label) => match.intent.offers.has(label));
  if (named.length === 0 || isThere(best)) return best;
  return understood.matches.find((match) => match.score >= Math.max(UNDERSTOOD, best.score * NEARLY) && isThere(match)) ?? best;
}

function subjectOf({ intent, values }: Match, comparison: Comparison | undefined): Subject | undefined {
  const input = fillInput(intent, values);
  if (input === undefined) return undefined;
  const about = [...values.values()].map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(', ');
  return { base: intent.base, input, intent, offers: intent.offers, labels: [], comparison, about };
}

/**
 * The name a request gives for a node that isn't known. In a text that only this node takes it is a part of the text; in
 * any other it counts as a node, since running "reboot on mars" elsewhere is worse than asking.
 */
function unknownNode(
  reading: Reading,
  details: { readonly best: Match | undefined; readonly places: Places },
): string | undefined {
  const { best, places } = details;
  const takesText = best?.intent.slots.some((slot) => slot.kind === 'free') ?? false;
  const isOnlyHere = best !== undefined && [...best.intent.offers.keys()].every((label) => label === '');
  const suspect = reading.found.unknown.find((candidate) => {
    if (takesText && isOnlyHere) return false;
    return candidate.certain || !saysWhere(places);
  });
  return suspect?.name;
}

/** A reply to "which …?": the token that looks like it, else all that was said. */
function replyValue(slot: Slot, tokens: readonly ReadToken[], text: string): Json | undefined {
  const like = tokens.find(({ token }) => token.quoted || looksLike(slot.kind, token, slot.schema));
  if (like !== undefined) return slotValue(slot.kind, like.token.raw, slot.schema);
  const first = tokens[0];
  const last = tokens.at(-1);
  if (first === undefined || last === undefined) return undefined;
  if ((slot.kind === 'path' || slot.kind === 'url') && tokens.length > 1) return undefined;
  return slotValue(slot.kind, text.slice(first.token.start, last.token.end), slot.schema);
}
