/** Room that every part which is kept gets at least: enough for any number, and for each of the notes below. */
const LEAST = 64;
/** Room below which the parts of a list or an object are not cut any shorter: its tail goes instead. */
const FAIR = 512;
const NOTE_KEY = '[cut here]';

/**
 * JSON of at most `maxChars` characters with the shape of a value: its longest strings lose their ends, then long lists
 * and objects their tails, and each says how long it was. The value is plain JSON, as `JSON.parse` gives it, and nests no
 * deeper than a call stack takes; the work is in proportion to it. `maxChars` counts as 64 at least.
 */
export function fitJson(value: unknown, maxChars: number): unknown {
  const sizes = new Map<object, number>();
  sizeOf(value, sizes);
  return fit(value, Math.max(LEAST, maxChars), sizes);
}

/** The characters a value takes as JSON. Those of the objects and lists in it are noted. */
function sizeOf(value: unknown, sizes: Map<object, number>): number {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value).length;
  const parts = partsOf(value);
  // A comma between two parts, and the brackets.
  let size = Math.max(2, parts.length + 1);
  for (const [key, part] of parts) size += keySize(key) + sizeOf(part, sizes);
  sizes.set(value, size);
  return size;
}

type Part = readonly [key: string | undefined, part: unknown];

/** The items of a list, without keys, or the entries of an object. */
function partsOf(value: object): readonly Part[] {
  return Array.isArray(value) ? value.map((item: unknown) => [undefined, item]) : Object.entries(value);
}

function keySize(key: string | undefined): number {
  return key === undefined ? 0 : JSON.stringify(key).length + 1;
}

function fit(value: unknown, room: number, sizes: ReadonlyMap<object, number>): unknown {
  if (typeof value === 'string') return fitText(value, room);
  if (typeof value !== 'object' || value === null || (sizes.get(value) ?? 0) <= room) return value;
  const all = partsOf(value);
  const sized = all.map(([key, part]): Sized => ({ key, part, size: sizeWithin(part, sizes), overhead: keySize(key) + 1 }));
  const kept = headWithin(sized, room - 2 - LEAST);
  const left = room - 2 - (kept.length < all.length ? LEAST : 0) - sum(kept.map(({ overhead }) => overhead));
  const share = fairShare(
    kept.map(({ size }) => size),
    left,
  );
  const fitted = kept.map(({ key, part, size }): Part => [key, size <= share ? part : fit(part, share, sizes)]);
  return rebuilt(value, fitted, all.length);
}

interface Sized {
  readonly key: string | undefined;
  readonly part: unknown;
  readonly size: number;
  readonly overhead: number;
}

function sizeWithin(part: unknown, sizes: ReadonlyMap<object, number>): number {
  return typeof part === 'object' && part !== null ? (sizes.get(part) ?? 0) : JSON.stringify(part).length;
}

/** As many of the first parts as have room when none of them is cut below what is fair. */
function headWithin(parts: readonly Sized[], room: number): readonly Sized[] {
  // A single part may take what there is, be it less than fair.
  const fair = Math.max(LEAST, Math.min(FAIR, Math.floor(room / 4)));
  let taken = 0;
  const end = parts.findIndex(({ size, overhead }) => {
    taken += overhead + Math.min(size, fair);
    return taken > room;
  });
  return end < 0 ? parts : parts.slice(0, end);
}

/** The room up to which each part may fill itself so that all fit: small ones leave theirs to the large. */
function fairShare(sizes: readonly number[], room: number): number {
  let left = room;
  const ordered = sizes.toSorted((one, other) => one - other);
  for (const [index, size] of ordered.entries()) {
    const share = Math.floor(left / (ordered.length - index));
    if (size > share) return share;
    left -= size;
  }
  return Number.POSITIVE_INFINITY;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function rebuilt(value: object, parts: readonly Part[], count: number): unknown {
  const kind = Array.isArray(value) ? 'items' : 'entries';
  const note = `${count} ${kind} in all, ${parts.length} shown`;
  const isCut = parts.length < count;
  if (Array.isArray(value)) return [...parts.map(([, part]) => part), ...(isCut ? [`[cut here: ${note}]`] : [])];
  const entries = parts.map(([key, part]) => [String(key), part] as const);
  return Object.fromEntries(isCut ? [...entries.filter(([key]) => key !== NOTE_KEY), [NOTE_KEY, note]] : entries);
}

/** A text cut so that it has room as JSON, with a note. */
function fitText(text: string, room: number): string {
  if (text.length + 2 <= room && JSON.stringify(text).length <= room) return text;
  const noted = (shown: number) => `\n[cut here: ${text.length} characters in all, ${shown} shown]`;
  // The line end takes two characters as JSON, and so does each quotation mark around it one.
  const head = headOf(text, room - noted(text.length).length - 3);
  return head + noted(head.length);
}

/** How long a text was before `fitJson` cut it, by the note it then ends with; as long as it is without one. */
export function wholeLength(text: string): number {
  const note = /\n\[cut here: (\d{1,15}) characters in all, \d{1,15} shown\]$/.exec(text.slice(-100));
  return note === null ? text.length : Number(note[1]);
}

/** The longest beginning that takes no more than so many characters inside quotation marks; whole characters only. */
function headOf(text: string, room: number): string {
  let taken = 0;
  let end = 0;
  while (end < text.length) {
    const character = String.fromCodePoint(text.codePointAt(end) ?? 0);
    taken += JSON.stringify(character).length - 2;
    if (taken > room) break;
    end += character.length;
  }
  return text.slice(0, end);
}
