/** Anything JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** True when the value nests arrays and objects at most `levels` deep. For values fresh from JSON.parse. */
export function depthWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (levels === 0) return false;
  if (Array.isArray(value)) return value.every((item) => depthWithin(item, levels - 1));
  return Object.values(value).every((item) => depthWithin(item, levels - 1));
}
