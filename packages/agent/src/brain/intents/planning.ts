import { isYes } from './agreement.ts';
import type { Catalog } from './catalog.ts';
import { asksWhichNode } from './comparison.ts';
import { findExplicitCall } from './explicit-call.ts';
import type { Comparison } from './grades.ts';
import type { Match } from './matching.ts';
import type { Suspect } from './peer-mentions.ts';
import type { Placement, Places } from './places.ts';
import { locate, placeRequest, saysWhere } from './places.ts';
import type { Context, Planned } from './plan.ts';
import { ask, carryOut, join, say } from './plan.ts';
import { Replies } from './replies.ts';
import { askedOf, bestMatch, leansOnLast, replyValue, subjectOf, unknownNode } from './request-meaning.ts';
import { looksLike } from './slot-values.ts';
import { answerTalk, findTalk } from './small-talk.ts';
import type { Subject } from './subject.ts';
import { clip } from './suggestions.ts';
import type { Reading, Understood } from './understanding.ts';
import { placesOf, REPEAT_WORDS, Reader } from './understanding.ts';
import { WordIndex } from './word-index.ts';
import type { Token } from './words.ts';
import { isStopWord, tokenize } from './words.ts';

/** Characters of a request that are considered. */
const MAX_REQUEST_CHARACTERS = 2_000;
const MAX_TOKENS = 400;
/** A reply to a question of ours is short; what is longer may be another request. */
const MAX_REPLY_TOKENS = 3;
/** A match this good is what is meant, even if it could be small talk or the answer to a question. */
const PLAIN = 0.75;

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
    return this.#plan(request, context, { isRepaired: false });
  }

  #plan(request: string, context: Context, { isRepaired }: { readonly isRepaired: boolean }): Planned {
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
    const named = askedOf(reading);
    if (named.length > 0 && (best === undefined || best.score < PLAIN)) return say(this.#replies.whatThere(named), context);
    const talk = isValue(plain, context.pending) ? undefined : findTalk(plain);
    if (talk !== undefined && (best === undefined || best.score < PLAIN || best.missing.length > 0 || best.intent.derived)) {
      return say(answerTalk(talk, this.#catalog, this.#thisNode), context);
    }
    const asked: Asked = { reading, context, isCut: request.length > text.length, isRepaired };
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
    const suspect = unknownNode(reading, { best, places });
    const stranger = suspect?.name;
    if (best === undefined) {
      const followed = this.#followUp(asked, { understood, stranger });
      if (followed !== undefined) return followed;
      if (stranger !== undefined) return say(this.#replies.unknownNode(stranger), context);
      if (understood.terms.length === 0 && places.named.length > 0) return say(this.#replies.whatThere(places.named), context);
      return say(this.#replies.notUnderstood(understood.matches), context);
    }
    if (suspect !== undefined) return this.#askBack(suspect, { asked, best, comparison: understood.comparison });
    return this.#place(best, { asked, places, comparison: understood.comparison });
  }

  /** For a node that isn't known: where one name is nearly that, what is asked is proposed for it, to be said yes to. */
  #askBack(
    { name, index }: Suspect,
    details: { readonly asked: Asked; readonly best: Match; readonly comparison: Comparison | undefined },
  ): Planned {
    const { asked, best, comparison } = details;
    const { context, reading } = asked;
    const text = this.#replies.unknownNode(name);
    const [near, ...others] = this.#replies.nearestNodes(name);
    const token = reading.tokens[index]?.token;
    if (near !== undefined && others.length === 0 && token !== undefined && !asked.isRepaired) {
      const words = `${reading.text.slice(0, token.start)}${near}${reading.text.slice(token.start + name.length)}`;
      const { plan } = this.#plan(words, context, { isRepaired: true });
      const [subject, ...more] = plan.type === 'calls' ? plan.subjects : [];
      if (subject !== undefined && more.length === 0) {
        return ask(text, { ...context, subjects: [subject] }, { type: 'node', subject, proposed: subject.labels });
      }
    }
    // A free text may hold the name: it is no text for another node.
    const isText = best.intent.slots.some((slot) => slot.kind === 'free');
    const subject = isText ? undefined : subjectOf(best, comparison);
    return say(text, subject === undefined ? context : { ...context, subjects: [subject] });
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
      peers: this.#catalog.peers,
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
      const repeatable = subject.intent?.repeatable ?? false;
      const placement = placeRequest({
        offers: subject.offers,
        peers: this.#catalog.peers,
        repeatable,
        hasSlots: true,
        places,
        before: context,
        compares: comparison !== undefined && subject.intent?.example.field !== undefined,
        follows: true,
      });
      // "Not on us-monitor" takes back what changes something; it does not ask for it everywhere else.
      if (!repeatable && onlyExcludes(places)) return this.#dispatch(subject, { type: 'ask' }, { context, follows: true });
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
      if (pending.proposed.length === 0 || !agrees(reading, pending.proposed)) return undefined;
      return carryOut([{ ...pending.subject, labels: pending.proposed }], { notes: [], context, follows: false });
    }
    const { match, slot } = pending;
    const isOther =
      best !== undefined && best.missing.length === 0 && best.score >= PLAIN && best.intent.base !== match.intent.base;
    if (isOther && reading.tokens.length > MAX_REPLY_TOKENS) return undefined;
    // "What?", "which are there?": asked back, not answered.
    const asksBack = reading.tokens.every(({ token }) => isStopWord(token.key) && !token.quoted);
    if (asksBack && reading.tokens.at(-1)?.token.after.includes('?')) return undefined;
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
  /** Whether a name in it was put in place of one that is not known. */
  readonly isRepaired: boolean;
}

/** Whether a reply is yes to the nodes proposed, naming no other. */
function agrees({ tokens, found }: Reading, proposed: readonly string[]): boolean {
  const named = found.mentions.filter(({ labels, excluded }) => !excluded && labels.every((label) => proposed.includes(label)));
  const plain = tokens.map(({ token }) => token);
  return isYes(plain, (index) => named.some(({ from, to }) => index >= from && index < to));
}

/** Whether a reply that could be small talk is the value asked for: "no" for a switch, "none" where it is a choice. */
function isValue(tokens: readonly Token[], pending: Context['pending']): boolean {
  const [token, ...more] = tokens;
  if (pending?.type !== 'slot' || token === undefined || more.length > 0) return false;
  return looksLike(pending.slot.kind, token, pending.slot.schema);
}

function onlyExcludes({ named, excluded, all }: Places): boolean {
  return excluded.length > 0 && named.length === 0 && all === 'none';
}
