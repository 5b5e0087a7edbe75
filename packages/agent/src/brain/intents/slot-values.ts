import type { Json } from '@skein/protocol';
import type { Token } from './words.ts';
import { pieces } from './words.ts';

/** What may stand in a slot, read from its name and its property's JSON Schema. */
export type SlotKind = 'path' | 'url' | 'number' | 'choice' | 'boolean' | 'list' | 'free';

export interface Slot {
  readonly name: string;
  readonly kind: SlotKind;
  /** The property of the input that holds it; undefined when the template's input does not use it. */
  readonly property: string | undefined;
  readonly schema: JsonObject;
}

export type JsonObject = { readonly [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const PATH_WORDS = new Set(['path', 'file', 'filename', 'dir', 'directory', 'folder']);
/** How names of files end that people ask for by that name alone. */
const FILE_ENDINGS = new Set(
  `txt md log csv json jsonc yaml yml toml ini conf cfg env xml html htm js ts mjs py rs sh sql db lock pdf png jpg zip gz tar`.split(
    ' ',
  ),
);
const URL_WORDS = new Set(['url', 'uri', 'href', 'link', 'address', 'website']);
const YES = new Set(['yes', 'true', 'on', 'y']);
const NO = new Set(['no', 'false', 'off', 'n']);

export function slotKindOf(names: readonly string[], schema: JsonObject): SlotKind {
  if (Array.isArray(schema.enum)) return 'choice';
  const types: readonly Json[] = Array.isArray(schema.type) ? schema.type : [schema.type ?? 'string'];
  if (types.includes('boolean')) return 'boolean';
  if (types.includes('array')) return 'list';
  if (!types.includes('string') && (types.includes('number') || types.includes('integer'))) return 'number';
  const words = names.flatMap((name) => pieces(name.replaceAll('_', ' ').toLowerCase()));
  if (schema.format === 'uri' || words.some((word) => URL_WORDS.has(word))) return 'url';
  if (words.some((word) => PATH_WORDS.has(word))) return 'path';
  return 'free';
}

/** Whether a token by its look can only be meant for a slot of this kind. */
export function looksLike(kind: SlotKind, token: Token, schema: JsonObject): boolean {
  switch (kind) {
    case 'path':
      return looksLikePath(token.raw);
    case 'url':
      return looksLikeUrl(token.raw);
    case 'number':
    case 'choice':
    case 'boolean':
      return slotValue(kind, token.raw, schema) !== undefined;
    case 'list':
    case 'free':
      return false;
  }
}

export function looksLikePath(raw: string): boolean {
  if (raw.includes('://') || raw.length < 1) return false;
  if (raw === '.' || raw === '..') return true;
  if (/^(?:\/|~|\.{1,2}\/|[A-Za-z]:\\)/.test(raw)) return true;
  if (raw.includes('/') && !raw.endsWith('/') && /^[\p{L}\p{N}._-]+(?:\/[\p{L}\p{N}._-]+)+$/u.test(raw)) return true;
  if (raw.endsWith('/') && raw.length > 1) return true;
  const dot = raw.lastIndexOf('.');
  return dot > 0 && /^[A-Za-z][A-Za-z0-9]{0,7}$/.test(raw.slice(dot + 1)) && /^[\p{L}\p{N}._-]+$/u.test(raw.slice(0, dot));
}

export function looksLikeUrl(raw: string): boolean {
  const lower = raw.toLowerCase();
  if (lower.startsWith('http://') || lower.startsWith('https://')) return raw.length > 8;
  if (isFileName(lower)) return false;
  const host = lower.split(/[/:?#]/, 1)[0] ?? '';
  if (host === 'localhost') return lower !== host;
  const labels = host.split('.');
  if (labels.length < 2 || labels.some((label) => !/^[a-z0-9-]{1,63}$/.test(label))) return false;
  return /^[a-z]{2,24}$/.test(labels.at(-1) ?? '') || labels.every((label) => /^\d{1,3}$/.test(label));
}

/** Some endings are countries too, whose sites people name with what is before or behind the name. */
function isFileName(lower: string): boolean {
  return !/[/:?#]/.test(lower) && FILE_ENDINGS.has(lower.slice(lower.lastIndexOf('.') + 1));
}

/** The text as a value its schema takes, or undefined. Patterns are the tool's to check, not ours to run. */
export function slotValue(kind: SlotKind, text: string, schema: JsonObject): Json | undefined {
  const lower = text.toLowerCase();
  switch (kind) {
    case 'choice': {
      const choices: readonly Json[] = Array.isArray(schema.enum) ? schema.enum : [];
      return choices.find((choice) => String(choice).toLowerCase() === lower);
    }
    case 'boolean':
      if (YES.has(lower)) return true;
      return NO.has(lower) ? false : undefined;
    case 'number': {
      if (!/^[+-]?\d{1,15}(?:\.\d{1,15})?$/.test(text)) return undefined;
      const value = Number(text);
      if (schema.type === 'integer' && !Number.isInteger(value)) return undefined;
      if (typeof schema.minimum === 'number' && value < schema.minimum) return undefined;
      if (typeof schema.maximum === 'number' && value > schema.maximum) return undefined;
      return value;
    }
    case 'list': {
      const words = text.split(/[\s,]+/).filter((word) => word !== '' && word !== 'and');
      return words.length === 0 ? undefined : words;
    }
    case 'url': {
      if (isFileName(lower)) return undefined;
      const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
      return text !== '' && URL.canParse(url) && fitsLength(url, schema) ? url : undefined;
    }
    case 'path':
    case 'free':
      return text !== '' && fitsLength(text, schema) ? text : undefined;
  }
}

function fitsLength(text: string, schema: JsonObject): boolean {
  if (typeof schema.minLength === 'number' && text.length < schema.minLength) return false;
  return typeof schema.maxLength !== 'number' || text.length <= schema.maxLength;
}
