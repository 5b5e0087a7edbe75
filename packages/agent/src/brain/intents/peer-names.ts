import { THIS_NODE } from './catalog.ts';
import type { Token } from './words.ts';
import { isMachineWord, isWithinEdits, pieces } from './words.ts';

/** Words behind which a name is where something is to be done. */
export const STRICT_PLACE_WORDS = new Set(['on', 'at', 'from']);
const HERE_WORDS = new Set(['here', 'locally', 'localhost', 'yourself']);

/** The names of known nodes, as people may say them. */
export interface KnownNames {
  /** Labels by their letters and digits, lower case, joined by a space; several where `name~id` tells like names apart. */
  readonly exact: ReadonlyMap<string, readonly string[]>;
  readonly labels: readonly string[];
}

/** Names of known nodes, prepared once for a request. */
export function knownNames(labels: readonly string[], thisNode: string | undefined): KnownNames {
  const exact = new Map<string, string[]>();
  for (const label of labels) {
    const spoken = label.split('~', 1)[0] ?? label;
    for (const name of new Set([label, spoken])) {
      const key = pieces(name.toLowerCase()).join(' ');
      exact.set(key, [...(exact.get(key) ?? []), label]);
    }
  }
  if (thisNode !== undefined) exact.set(pieces(thisNode.toLowerCase()).join(' '), [THIS_NODE]);
  return { exact, labels };
}

/** A name found in a request. */
export interface NamedNode {
  readonly from: number;
  readonly to: number;
  readonly labels: readonly string[];
  readonly nearly: boolean;
}

/** Every name of a known node in a request, in order. */
export function findNames(tokens: readonly Token[], known: KnownNames): NamedNode[] {
  const found: NamedNode[] = [];
  let at = 0;
  while (at < tokens.length) {
    const name = hereAt(tokens, at) ?? labelAt(tokens, at, known) ?? nearlyAt(tokens, at, known) ?? shortAt(tokens, at, known);
    if (name === undefined) at += 1;
    else {
      found.push(name);
      at = name.to;
    }
  }
  return found;
}

function hereAt(tokens: readonly Token[], at: number): NamedNode | undefined {
  const token = tokens[at];
  const next = tokens[at + 1];
  if (token === undefined || token.quoted) return undefined;
  if (HERE_WORDS.has(token.key)) return { from: at, to: at + 1, labels: [THIS_NODE], nearly: false };
  const thisOne = (token.key === 'this' || token.key === 'local') && next !== undefined && isMachineWord(next.key);
  return thisOne ? { from: at, to: at + 2, labels: [THIS_NODE], nearly: false } : undefined;
}

function labelAt(tokens: readonly Token[], at: number, known: KnownNames): NamedNode | undefined {
  const words: string[] = [];
  let best: NamedNode | undefined;
  for (let end = at; end < Math.min(at + 4, tokens.length); end += 1) {
    const token = tokens[end];
    if (token === undefined || token.quoted) break;
    words.push(...pieces(token.key));
    const labels = known.exact.get(words.join(' '));
    if (labels !== undefined) best = { from: at, to: end + 1, labels, nearly: labels.length > 1 };
    if (token.after !== '') break;
  }
  return best;
}

/**
 * One letter too many, too few or swapped with the next, in one long word of the name. A changed letter or digit makes
 * another name (`us` and `eu`, `web-1` and `web-2`), so it is never taken for a slip.
 */
function nearlyAt(tokens: readonly Token[], at: number, known: KnownNames): NamedNode | undefined {
  const token = tokens[at];
  if (token === undefined || token.quoted) return undefined;
  const words = pieces(token.key);
  const fits = known.labels.filter((label) => isSlip(words, pieces(label.toLowerCase())));
  const [label] = fits;
  return label !== undefined && fits.length === 1 ? { from: at, to: at + 1, labels: [label], nearly: true } : undefined;
}

function isSlip(words: readonly string[], segments: readonly string[]): boolean {
  if (words.length !== segments.length) return false;
  let slips = 0;
  for (const [index, segment] of segments.entries()) {
    const word = words[index] ?? '';
    if (word === segment) continue;
    slips += 1;
    if (segment.length < 5 || /\d/.test(word + segment) || !isWithinEdits(word, segment, 1)) return false;
    if (word.length === segment.length && [...word].sort().join('') !== [...segment].sort().join('')) return false;
  }
  return slips === 1;
}

/** "On us": the first part of exactly one name, after a word that asks for a place or as the whole request. */
function shortAt(tokens: readonly Token[], at: number, known: KnownNames): NamedNode | undefined {
  const token = tokens[at];
  const before = tokens[at - 1]?.key;
  if (token === undefined || token.quoted || token.key.length < 2 || token.key === 'the') return undefined;
  const list = before === 'and' && known.labels.some((label) => firstPiece(label) === tokens[at - 2]?.key);
  const place = before !== undefined && STRICT_PLACE_WORDS.has(before);
  const alone = tokens.length - at === 1 && at <= 2 && (before === 'and' || before === 'about');
  if (!place && !alone && !list) return undefined;
  const fits = known.labels.filter((label) => firstPiece(label) === token.key);
  const [label] = fits;
  return label !== undefined && fits.length === 1 ? { from: at, to: at + 1, labels: [label], nearly: false } : undefined;
}

function firstPiece(label: string): string | undefined {
  return pieces(label.toLowerCase())[0];
}
