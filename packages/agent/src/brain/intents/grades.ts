/** Whether a quantity counts what is there to be used, or what is used up. */
export type Sense = 'free' | 'used';

/** What "which has the most …" asks for: an end of the scale, and the sense it is meant in where the words say so. */
export interface Comparison {
  readonly direction: 'max' | 'min';
  readonly sense: Sense | undefined;
}

interface Grade extends Comparison {
  /** The word behind it that says what is asked: `fullest` asks for `full`. */
  readonly term?: string;
}

/** Words that grade: superlatives, comparatives, and those that ask for a comparison. */
export const GRADES: ReadonlyMap<string, Grade> = new Map([
  ...grades('most more highest higher largest larger biggest bigger greatest greater max maximum longest longer top', {
    direction: 'max',
    sense: undefined,
  }),
  ...grades('least less lowest lower smallest smaller min minimum fewest fewer shortest shorter', {
    direction: 'min',
    sense: undefined,
  }),
  ...grades('fullest fuller', { direction: 'max', sense: 'used', term: 'full' }),
  ...grades('emptiest emptier', { direction: 'min', sense: 'used', term: 'full' }),
  ...grades('freest freer', { direction: 'max', sense: 'free', term: 'free' }),
  ...grades('busiest busier', { direction: 'max', sense: 'used', term: 'load' }),
  ...grades('idlest calmest quietest', { direction: 'min', sense: 'used', term: 'load' }),
  ...grades('best better', { direction: 'max', sense: 'free' }),
  ...grades('worst worse', { direction: 'min', sense: 'free' }),
  ...grades('compare compared comparison versus vs difference', { direction: 'max', sense: undefined }),
]);

function grades(words: string, grade: Grade): [string, Grade][] {
  return words.split(' ').map((word) => [word, grade]);
}

/** The term a superlative stands for beside its direction, or null for one that stands for none; undefined for other words. */
export function gradeTerm(key: string): string | null | undefined {
  const grade = GRADES.get(key);
  return grade === undefined ? undefined : (grade.term ?? null);
}

/** Grades of a number of things, rather than of a size. */
export const COUNTING_GRADES: ReadonlySet<string> = new Set(
  `most more least less fewest fewer max maximum min minimum highest higher lowest lower
  compare compared comparison versus vs difference`.split(/\s+/),
);
