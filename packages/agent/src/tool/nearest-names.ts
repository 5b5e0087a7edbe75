/** The names most like the one given, best first; none that has little in common with it. */
export function nearestNames(
  wanted: string,
  names: Iterable<string>,
  options?: { readonly limit?: number },
): readonly string[] {
  const lower = wanted.toLowerCase().slice(0, 130);
  const scored = [...names].map((name) => ({ name, distance: likeness(lower, name.toLowerCase()) }));
  return scored
    .filter(({ name, distance }) => distance <= Math.max(2, Math.max(name.length, lower.length) / 2))
    .sort((left, right) => left.distance - right.distance || (left.name < right.name ? -1 : 1))
    .slice(0, options?.limit ?? 5)
    .map(({ name }) => name);
}

/** Edits between the two, where the part after the peer counts by itself: `disk` is near `mon/disk`. */
function likeness(wanted: string, name: string): number {
  const plain = name.slice(name.indexOf('/') + 1);
  return Math.min(
    editDistance(wanted, name),
    editDistance(wanted.slice(wanted.indexOf('/') + 1), plain) + (plain === name ? 0 : 1),
  );
}

/** Levenshtein's distance, one row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const substitute = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
