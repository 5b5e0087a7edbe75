import type { Catalog, Intent } from './catalog.ts';
import { gradeTerm } from './grades.ts';
import { STOP_WORDS, SYNONYMS, VETO_WORDS } from './vocabulary.ts';
import type { Token } from './words.ts';
import { canonical, isMachineWord, isStopWord, isWithinEdits, pieces, stemOf, typoLimit } from './words.ts';

/** One word of a request, as the offered examples understand it. */
export type Reading =
  | { readonly type: 'empty' }
  | { readonly type: 'term'; readonly term: string /** 1, or less for a likely typing slip. */; readonly sureness: number }
  | { readonly type: 'unknown'; readonly term: string; readonly veto: boolean };

/** A request's tokens with what each word means to the offered examples. */
export interface ReadToken {
  readonly token: Token;
  readonly readings: readonly Reading[];
  /** Whether it looks like a path or an address, and so means one, not the words in it. */
  readonly isPlace: boolean;
}

const EMPTY: Reading = { type: 'empty' };
const SLIP_SURENESS = 0.85;

/** Which intents use a word, how telling it is, and which known word a misspelled one is near. */
export class WordIndex {
  readonly #postings = new Map<string, number[]>();
  /** Spellings of the known words, by their first letter. */
  readonly #spellings = new Map<string, (readonly [spelling: string, term: string])[]>();
  readonly #count: number;

  constructor(catalog: Catalog) {
    this.#count = catalog.intents.length;
    for (const [index, intent] of catalog.intents.entries()) {
      for (const term of intent.literals) this.#add(term, index);
      for (const term of intent.related) if (!intent.literals.includes(term)) this.#add(term, index);
    }
    for (const [spelling, term] of SYNONYMS)
      if (this.#postings.has(term) && spelling !== term) this.#addSpelling(spelling, term);
  }

  #add(term: string, index: number): void {
    const list = this.#postings.get(term);
    if (list !== undefined) {
      list.push(index);
      return;
    }
    this.#postings.set(term, [index]);
    this.#addSpelling(term, term);
  }

  #addSpelling(spelling: string, term: string): void {
    const bucket = this.#spellings.get(spelling.charAt(0));
    if (bucket === undefined) this.#spellings.set(spelling.charAt(0), [[spelling, term]]);
    else bucket.push([spelling, term]);
  }

  has(term: string): boolean {
    return this.#postings.has(term);
  }

  /** Positions in the catalog of the intents that use the term. */
  using(term: string): readonly number[] {
    return this.#postings.get(term) ?? [];
  }

  /** How telling a term is: the rarer among the intents, the more. */
  weight(term: string): number {
    return Math.log(1 + this.#count / (this.#postings.get(term)?.length ?? 1));
  }

  /** The weight of a word no example uses: that of one that half a dozen might. */
  get unknownWeight(): number {
    return Math.log(1 + this.#count / Math.max(1, this.#count / 8));
  }

  /** Reads one token's key, piece by piece. */
  read(key: string): Reading[] {
    if (isStopWord(key) && !VETO_WORDS.has(key)) return [EMPTY];
    const grade = gradeTerm(key);
    if (grade !== undefined) return [grade === null ? EMPTY : { type: 'term', term: grade, sureness: 1 }];
    return pieces(key).map((piece) => this.#readPiece(piece));
  }

  #readPiece(piece: string): Reading {
    const term = canonical(piece);
    if (this.has(term)) return { type: 'term', term, sureness: 1 };
    if (VETO_WORDS.has(piece) || VETO_WORDS.has(term)) return { type: 'unknown', term, veto: true };
    if (isStopWord(piece) || isMachineWord(piece)) return EMPTY;
    const near = this.#nearest(piece);
    if (near !== undefined) return { type: 'term', term: near, sureness: SLIP_SURENESS };
    return isNearStopWord(piece) ? EMPTY : { type: 'unknown', term, veto: false };
  }

  #nearest(piece: string): string | undefined {
    const limit = typoLimit(piece.length);
    if (limit === 0) return undefined;
    const bucket = this.#spellings.get(piece.charAt(0)) ?? [];
    const spelled = [piece, stemOf(piece)];
    for (let edits = 1; edits <= limit; edits += 1) {
      for (const [spelling, term] of bucket) {
        if (spelled.some((word) => isSlip(word, spelling, edits))) return term;
      }
    }
    return undefined;
  }
}

/** In a short word a changed letter makes another word (`lead`, `load`); only swaps and lost or doubled letters count. */
function isSlip(word: string, spelling: string, edits: number): boolean {
  if (spelling.length < 4 || typoLimit(Math.min(word.length, spelling.length + 1)) < edits) return false;
  if (word.length < 5 && word.length === spelling.length && [...word].sort().join() !== [...spelling].sort().join())
    return false;
  return isWithinEdits(word, spelling, edits);
}

const LONG_STOP_WORDS = [...STOP_WORDS].filter((word) => word.length >= 3);

function isNearStopWord(piece: string): boolean {
  if (piece.length < 3) return false;
  const sorted = [...piece].sort().join('');
  return LONG_STOP_WORDS.some((word) => {
    if (word.charAt(0) !== piece.charAt(0)) return false;
    if (word.length === piece.length) return [...word].sort().join('') === sorted;
    return word.length >= 5 && isWithinEdits(word, piece, 1);
  });
}

/** The example of an intent as people say it, slots in angle brackets. */
export function phraseOf(intent: Intent): string {
  let phrase = '';
  for (const character of intent.example.say) phrase += character === '{' ? '<' : character === '}' ? '>' : character;
  return phrase;
}
