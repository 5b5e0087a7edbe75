import type { Json } from '@skein/protocol';

/**
 * Text from outside as a model should see it: between marks that name its source and that the text cannot close by
 * itself. This helps a model that tries to be good; what a turn may do is decided by the turn loop.
 */
export function formatAsData(source: string, value: Json): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const label = source.replace(/[^\p{L}\p{N} ._~/:@-]/gu, '_').slice(0, 120);
  return `<data from="${label}">\n${text.replace(/<(?=\s*\/?\s*data)/gi, '&lt;')}\n</data>`;
}
