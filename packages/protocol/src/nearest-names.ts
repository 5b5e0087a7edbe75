import { distance } from 'fastest-levenshtein';

/** The names most like the one given, best first; none that differs in more than a third of its letters. */
export function nearestNames(
  wanted: string,
  names: Iterable<string>,
  options?: { readonly limit?: number },
): readonly string[] {
  const lower = wanted.toLowerCase().slice(0, 130);
  const scored = [...names].map((name) => ({ name, edits: likeness(lower, name.toLowerCase().slice(0, 130)) }));
  return scored
    .filter(({ name, edits }) => edits <= Math.ceil(Math.max(name.length, lower.length) / 3))
    .sort((left, right) => left.edits - right.edits || (left.name < right.name ? -1 : 1))
    .slice(0, options?.limit ?? 5)
    .map(({ name }) => name);
}

/** Edits between the two, where the part after the peer counts by itself: `disk` is near `mon/disk`. */
function likeness(wanted: string, name: string): number {
  const plain = name.slice(name.indexOf('/') + 1);
  return Math.min(
    editsBetween(wanted, name),
    editsBetween(wanted.slice(wanted.indexOf('/') + 1), plain) + (plain === name ? 0 : 1),
  );
}

/** The Levenshtein distance, where two letters in the wrong order are one mistake: `strat` for `start`. */
export function editsBetween(wanted: string, name: string): number {
  const count = distance(wanted, name);
  return count === 2 && sorted(wanted) === sorted(name) ? 1 : count;
}

function sorted(text: string): string {
  return [...text].sort().join('');
}
