/** Words so common that a search for them finds everything. Quality of ranking only: nothing is decided by them. */
const COMMON = new Set(
  (
    'a an and are as at be been but by can could did do does for from get give had has have he her him his how i if in into ' +
    'is it its just let like me my no not now of on or our please say see she should show so some tell than that the their ' +
    'them then there these they this to up us use was we were what when where which who why will with would you your'
  ).split(' '),
);
const MAX_WORDS = 16;
const MAX_WORD_CHARS = 40;

/**
 * An FTS5 query from free text: each word quoted and matched as a prefix, any of them enough. Nothing in the text can
 * be read as query syntax. Undefined when no word is left to look for. With `keepCommon`, words such as "the" count.
 */
export function fullTextQuery(text: string, options?: { readonly keepCommon?: boolean }): string | undefined {
  const words =
    text
      .slice(0, 4_000)
      .toLowerCase()
      .normalize('NFC')
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  const wanted = words.filter((word) => options?.keepCommon === true || !COMMON.has(word));
  const unique = [...new Set(wanted.map((word) => [...word].slice(0, MAX_WORD_CHARS).join('')))].slice(0, MAX_WORDS);
  if (unique.length === 0) return undefined;
  return unique.map((word) => `"${word}"*`).join(' OR ');
}
