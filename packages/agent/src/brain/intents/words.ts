import { gradeTerm } from './grades.ts';
import { MACHINE_WORDS, STOP_WORDS, SYNONYMS } from './vocabulary.ts';

/** One piece of a request between spaces, or one quoted string. Offsets are into the request. */
export interface Token {
  /** Without quotes and without the punctuation around it. */
  readonly raw: string;
  /** `raw` in lower case, without a possessive ending. */
  readonly key: string;
  readonly start: number;
  /** Past the last character that is not sentence punctuation. */
  readonly end: number;
  readonly quoted: boolean;
  readonly possessive: boolean;
  /** Punctuation that followed it: a comma, semicolon or colon ends a phrase. */
  readonly after: string;
}

const QUOTES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['“', '”'],
  ['`', '`'],
  ["'", "'"],
  ['‘', '’'],
]);
const SPACE = /\s/;
const LEADING = '([{<';
const SENTENCE = '?!.,;:…';
const TRAILING = '?!.,;:)]}>…';

/** The request in tokens; linear in its length. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (SPACE.test(text.charAt(at))) {
      at += 1;
      continue;
    }
    const quoted = quotedAt(text, at);
    if (quoted !== undefined) {
      tokens.push(quoted);
      at = quoted.end + quoted.after.length;
      continue;
    }
    let end = at;
    while (end < text.length && !SPACE.test(text.charAt(end)) && !endsPiece(text, at, end)) end += 1;
    const token = plainToken(text, at, end);
    if (token !== undefined) tokens.push(token);
    at = Math.max(end, at + 1);
  }
  return tokens;
}

/** A comma or semicolon without a space after it also ends a piece, unless it stands inside a number. */
function endsPiece(text: string, start: number, at: number): boolean {
  if (at === start) return false;
  const before = text.charAt(at - 1);
  return (before === ',' || before === ';') && !isDigit(text.charAt(at));
}

function quotedAt(text: string, at: number): Token | undefined {
  const close = QUOTES.get(text.charAt(at));
  if (close === undefined) return undefined;
  const end = text.indexOf(close, at + 1);
  if (end <= at + 1) return undefined;
  // An apostrophe opens a quotation only when its partner ends a word: 'it's' does not.
  if (close === "'" && isWordCharacter(text.charAt(end + 1))) return undefined;
  let after = end + 1;
  while (after < text.length && TRAILING.includes(text.charAt(after))) after += 1;
  const raw = text.slice(at + 1, end).trim();
  if (raw === '') return undefined;
  return {
    raw,
    key: raw.toLowerCase(),
    start: at,
    end: end + 1,
    quoted: true,
    possessive: false,
    after: text.slice(end + 1, after),
  };
}

function plainToken(text: string, from: number, to: number): Token | undefined {
  let start = from;
  let end = to;
  while (start < end && LEADING.includes(text.charAt(start))) start += 1;
  while (end > start && TRAILING.includes(text.charAt(end - 1))) end -= 1;
  if (start === end) {
    // A lone dot or two is a folder; other punctuation by itself is nothing.
    const dots = text.slice(from, to);
    if (dots !== '.' && dots !== '..') return undefined;
    start = from;
    end = to;
  }
  const raw = text.slice(start, end);
  let last = to;
  while (last > end && SENTENCE.includes(text.charAt(last - 1))) last -= 1;
  let key = raw.normalize('NFKC').replaceAll('’', "'").toLowerCase();
  const possessive = key.endsWith("'s") || key.endsWith("s'");
  if (possessive) key = key.slice(0, key.endsWith("'s") ? -2 : -1);
  return { raw, key, start, end: last, quoted: false, possessive, after: text.slice(end, to) };
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9' && character.length === 1;
}

function isWordCharacter(character: string): boolean {
  return character !== '' && /[\p{L}\p{N}]/u.test(character);
}

/** The letters-and-digits pieces of a key: `us-monitor` is `us` and `monitor`. */
export function pieces(key: string): string[] {
  return key.match(/[\p{L}\p{N}']+/gu) ?? [];
}

/** The word that stands for this one and its kin: `drives` and `storage` are both `disk`. */
export function canonical(word: string): string {
  const known = SYNONYMS.get(word);
  if (known !== undefined) return known;
  const stem = stemOf(word);
  // `using` loses its e with its ending.
  return SYNONYMS.get(stem) ?? (stem === word ? undefined : SYNONYMS.get(`${stem}e`)) ?? stem;
}

/** Light stemming: plurals and the commonest verb endings, never below three letters. */
export function stemOf(word: string): string {
  if (word.length < 4 || !/^[a-z]+$/.test(word)) return word;
  if (word.endsWith('ies') && word.length > 4) return `${word.slice(0, -3)}y`;
  if (/(?:sses|shes|ches|xes)$/.test(word)) return word.slice(0, -2);
  if (word.endsWith('s') && !word.endsWith('ss') && !word.endsWith('us') && !word.endsWith('is')) return word.slice(0, -1);
  if (word.endsWith('ing') && word.length > 6) return word.slice(0, -3);
  if (word.endsWith('ed') && word.length > 5) return word.slice(0, -2);
  return word;
}

export function isStopWord(key: string): boolean {
  return STOP_WORDS.has(key) || (key.includes("'") && STOP_WORDS.has(key.replaceAll("'", '')));
}

export function isMachineWord(key: string): boolean {
  return MACHINE_WORDS.has(key);
}

/** The term of one piece of a text, or undefined for a stop word, a word for a node or a bare superlative. */
function termOf(piece: string): string | undefined {
  const grade = gradeTerm(piece);
  if (grade !== undefined) return grade ?? undefined;
  return isStopWord(piece) || isMachineWord(piece) ? undefined : canonical(piece);
}

/** Terms of a text that says what is asked for. */
export function termsOf(text: string): string[] {
  return pieces(text.toLowerCase()).flatMap((piece) => termOf(piece) ?? []);
}

/** `termOf` for many texts of few words, remembering what it found. */
export class TermMemo {
  readonly #terms = new Map<string, string | undefined>();

  of(piece: string): string | undefined {
    if (this.#terms.has(piece)) return this.#terms.get(piece);
    const term = termOf(piece);
    this.#terms.set(piece, term);
    return term;
  }

  ofText(text: string): string[] {
    const terms: string[] = [];
    for (const piece of pieces(text.toLowerCase())) {
      const term = this.of(piece);
      if (term !== undefined) terms.push(term);
    }
    return terms;
  }
}

/**
 * Whether two words differ by at most `limit` letters changed, added, left out, or swapped with the next. `limit` is 1
 * or 2; the cost is the product of the lengths, and lengths further apart than `limit` cost nothing.
 */
export function isWithinEdits(left: string, right: string, limit: number): boolean {
  if (Math.abs(left.length - right.length) > limit) return false;
  if (left.length > 64 || right.length > 64) return left === right;
  let older: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    let best = row;
    for (let column = 1; column <= right.length; column += 1) {
      const same = left.charAt(row - 1) === right.charAt(column - 1);
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 &&
        column > 1 &&
        left.charAt(row - 1) === right.charAt(column - 2) &&
        left.charAt(row - 2) === right.charAt(column - 1);
      if (swapped) cost = Math.min(cost, (older[column - 2] ?? 0) + 1);
      current.push(cost);
      best = Math.min(best, cost);
    }
    if (best > limit) return false;
    older = previous;
    previous = current;
  }
  return (previous[right.length] ?? limit + 1) <= limit;
}

/** How many letters may be wrong in a word of this length for it still to be that word. */
export function typoLimit(length: number): number {
  if (length < 4) return 0;
  return length < 8 ? 1 : 2;
}
