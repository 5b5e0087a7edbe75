import type { Intent } from './catalog.ts';
import type { Comparison, Sense } from './grades.ts';
import { GRADES } from './grades.ts';
import type { Token } from './words.ts';
import { isMachineWord, pieces, termsOf } from './words.ts';

const NODE_QUESTIONS = new Set(['which', 'what', 'whose']);

/** Whether it is nodes that are compared: "which machine", "who", "which of them", "than". */
export function asksWhichNode(tokens: readonly Token[]): boolean {
  return tokens.some((token, index) => {
    const next = tokens[index + 1]?.key ?? '';
    if (['who', 'whose', 'where', 'than', 'compare', 'versus', 'vs'].includes(token.key)) return true;
    return NODE_QUESTIONS.has(token.key) && (isMachineWord(next) || next === 'one' || next === 'of' || next === 'has');
  });
}

/** The comparison a request asks for, if it does. `terms` are its content words. */
export function findComparison(tokens: readonly Token[], terms: readonly string[]): Comparison | undefined {
  const found = tokens.flatMap((token) => (token.quoted ? [] : (GRADES.get(token.key) ?? [])));
  // In "compare … which has least", the word with a direction of its own counts.
  const grade = found.find((candidate) => candidate.direction === 'min' || candidate.sense !== undefined) ?? found[0];
  if (grade === undefined) return undefined;
  return { direction: grade.direction, sense: grade.sense ?? senseAsked(tokens, terms) };
}

function senseAsked(tokens: readonly Token[], terms: readonly string[]): Sense | undefined {
  if (terms.includes('free')) return 'free';
  if (terms.includes('full') || terms.includes('load')) return 'used';
  return tokens.some((token) => token.key === 'space' || token.key === 'room') ? 'free' : undefined;
}

/** Whether an example itself speaks of the most or least: then that is its business, not a comparison of nodes. */
export function isSuperlative(intent: Intent): boolean {
  return pieces(intent.example.say.toLowerCase()).some((word) => GRADES.has(word));
}

/** The sense of an example's field, from its label, else its path, else the way it is asked for. */
function senseOf(intent: Intent): Sense | undefined {
  const { label, field, say } = intent.example;
  for (const text of [label ?? '', spread(field ?? ''), say]) {
    const terms = termsOf(text);
    if (terms.includes('free') || terms.includes('idle')) return 'free';
    if (terms.includes('full') || terms.includes('load')) return 'used';
  }
  return undefined;
}

/** `memory.freeBytes` as words. */
export function spread(path: string): string {
  return path.replaceAll('.', ' ').replace(/([a-z0-9])([A-Z])/g, '$1 $2');
}

/** Which end of the field's own scale answers: asked for the fullest and given free space, the smallest. */
export function directionFor(comparison: Comparison, intent: Intent): 'max' | 'min' {
  const field = senseOf(intent);
  const flipped = comparison.sense !== undefined && field !== undefined && field !== comparison.sense;
  if (!flipped) return comparison.direction;
  return comparison.direction === 'max' ? 'min' : 'max';
}
