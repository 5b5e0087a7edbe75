/** Anything JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** True when the value nests arrays and objects at most `levels` deep. For values fresh from JSON.parse. */
export function depthWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (levels === 0) return false;
  // Plain loops: this runs for every message.
  if (Array.isArray(value)) {
    for (const item of value) if (!depthWithin(item, levels - 1)) return false;
    return true;
  }
  for (const key in value) if (!depthWithin(Reflect.get(value, key), levels - 1)) return false;
  return true;
}

/**
 * True when what a JSON text holds nests at most `levels` deep and has at most `values` values, seen before it is
 * parsed: a parser would spend its time first. An empty array or object counts as two values. Says nothing of a text that
 * is not JSON.
 */
export function jsonWithin(text: string, levels: number, values: number): boolean {
  // Most messages end here, with a few native searches instead of a look at each character.
  if (text.length <= values && !hasMoreBrackets(text, levels)) return true;
  return jsonValues(text, levels, values) < Number.POSITIVE_INFINITY;
}

/** How many values a JSON text has, as `jsonWithin` counts them; Infinity as soon as it is known to be over a bound. */
export function jsonValues(text: string, levels: number, values: number): number {
  let depth = 0;
  let count = 1;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        count += 1;
        if (depth > levels) return Number.POSITIVE_INFINITY;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth -= 1;
        break;
      case 0x2c: // ,
        count += 1;
        break;
      default:
    }
    if (count > values) return Number.POSITIVE_INFINITY;
  }
  return count;
}

/** True when more than `most` arrays and objects could begin in the text, brackets within strings counted. */
function hasMoreBrackets(text: string, most: number): boolean {
  let count = 0;
  for (let at = text.indexOf('{'); at >= 0; at = text.indexOf('{', at + 1)) {
    count += 1;
    if (count > most) return true;
  }
  for (let at = text.indexOf('['); at >= 0; at = text.indexOf('[', at + 1)) {
    count += 1;
    if (count > most) return true;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The place of the quote that ends the string that begins at `start`; the text's end when none does. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return at;
  }
  return text.length;
}
