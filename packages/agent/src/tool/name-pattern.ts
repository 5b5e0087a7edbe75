/** True when one of the patterns is the whole name; `*` stands for any characters but `/`. */
export function matchesAny(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(name, pattern.split('*')));
}

/** By hand and not by a regular expression: many stars would make one slow. */
function matches(name: string, [first = '', ...rest]: readonly string[]): boolean {
  if (!name.startsWith(first)) return false;
  const last = rest.pop();
  if (last === undefined) return name === first;
  let at = first.length;
  for (const piece of rest) {
    const next = name.indexOf(piece, at);
    if (next === -1 || name.slice(at, next).includes('/')) return false;
    at = next + piece.length;
  }
  const end = name.length - last.length;
  return end >= at && name.endsWith(last) && !name.slice(at, end).includes('/');
}
