import { z } from 'zod';
import { type ConfigInput, config } from './schema.ts';
import { uncover } from './schema-walk.ts';

const HEADER = `// The config of one Skein node. Each commented line shows what holds without it, or an example where that is nothing;
// an environment variable such as SKEIN_PORT, and an option of the command line, are stronger than this file.`;

const LINE_CHARACTERS = 100;

/**
 * The text of a config file: `values` as they are given, every other key commented out with its default or an example,
 * each below its description from the schema.
 */
export function describeConfig(values: ConfigInput = {}): string {
  return `${HEADER}\n${describeObject(config, values, {}, '').join('\n')}\n`;
}

/** The lines of an object in braces. `defaults` is what the object holds when it is absent. */
function describeObject(schema: z.ZodObject, values: unknown, defaults: unknown, indent: string): readonly string[] {
  const parsed = schema.safeParse(defaults);
  const inner = `${indent}  `;
  const lines = Object.entries(schema.shape).flatMap(([key, field]) => {
    const given = property(values, key);
    const bare = uncover(field);
    const description = metaOf(field, 'description');
    const head = typeof description === 'string' ? [`${inner}// ${description}`] : [];
    if (bare instanceof z.ZodObject && property(parsed.data, key) !== undefined) {
      const [open = '{', ...rest] = describeObject(bare, given, property(parsed.data, key), inner);
      return [...head, `${inner}"${key}": ${open.trim()}`, ...rest.slice(0, -1), `${inner}},`];
    }
    const held = property(parsed.data, key);
    const shown = given ?? (isNothing(held) ? (metaOf(field, 'example') ?? held ?? null) : held);
    const text = formatValue(shown).replaceAll('\n', `\n${inner}`);
    const line = `${inner}"${key}": ${text},`;
    return [...head, given === undefined ? commented(line, inner) : line];
  });
  return [`${indent}{`, ...lines, `${indent}}`];
}

/** JSON on one line where it fits, a list of words filled into lines, else one entry a line. */
function formatValue(value: unknown): string {
  // JSON has no line break but between its parts.
  const short = JSON.stringify(value, null, 1)
    .replaceAll(/\n\s*/g, ' ')
    .replaceAll(/\[ | \]/g, (end) => end.trim());
  if (short.length <= LINE_CHARACTERS || typeof value !== 'object' || value === null) return short;
  if (!Array.isArray(value)) {
    return inLines(
      '{}',
      Object.entries(value).map(([key, entry]) => `${JSON.stringify(key)}: ${formatValue(entry)}`),
    );
  }
  if (value.some((entry) => typeof entry === 'object')) return inLines('[]', value.map(formatValue));
  return formatWords(value);
}

function inLines([open = '', close = '']: string, entries: readonly string[]): string {
  return [open, `  ${entries.join(',\n').replaceAll('\n', '\n  ')}`, close].join('\n');
}

function formatWords(words: readonly unknown[]): string {
  const lines = [' '];
  for (const entry of words) {
    const word = ` ${JSON.stringify(entry)},`;
    const last = lines.pop() ?? '';
    lines.push(...(last.length + word.length <= LINE_CHARACTERS ? [last + word] : [last, ` ${word}`]));
  }
  return ['[', ...lines, ']'].join('\n');
}

/** Nothing at all, or a list or object of nothing: an example tells more. */
function isNothing(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}

function commented(line: string, indent: string): string {
  return line
    .split('\n')
    .map((part) => `${indent}// ${part.slice(indent.length)}`)
    .join('\n');
}

/** What the schema says of itself under a key, on the field or on what it covers. */
function metaOf(field: unknown, key: string): unknown {
  if (!(field instanceof z.ZodType)) return undefined;
  const own = field.meta()?.[key];
  if (own !== undefined) return own;
  const bare = uncover(field);
  return bare === field ? undefined : metaOf(bare, key);
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}
