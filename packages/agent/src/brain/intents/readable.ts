import type { Json, ToolExample } from '@skein/protocol';
import { wholeLength } from '../../turn/fit-json.ts';
import { spread } from './comparison.ts';
import { plainText } from './plain-text.ts';
import { formatRemembered, withoutMarks } from './remembered.ts';
import type { JsonObject } from './slot-values.ts';
import { isJsonObject } from './slot-values.ts';
import { clip } from './suggestions.ts';

type Unit = NonNullable<ToolExample['unit']> | 'milliseconds' | 'date';

const MAX_LINES = 60;
const MAX_OBJECT_LINES = 30;
const MAX_DEPTH = 4;
const MAX_VALUE = 300;

/** A number with its unit as people read it: `5.2 GiB`, `43%`, `3 days 4 h`, `1,234`. */
export function formatNumber(value: number, unit: Unit | undefined): string {
  if (!Number.isFinite(value)) return String(value);
  switch (unit) {
    case 'bytes':
      return formatBytes(value);
    case 'percent':
      return `${round(value, 1)}%`;
    case 'seconds':
      return formatSeconds(value);
    case 'milliseconds':
      return `${round(value, 0)} ms`;
    case 'date':
      return formatDate(value);
    case 'count':
    case undefined:
      return round(value, 2);
  }
}

function round(value: number, digits: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** Epoch milliseconds as date and time, UTC. */
function formatDate(value: number): string {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

const BYTE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function formatBytes(value: number): string {
  let amount = value;
  let unit = 'B';
  for (const next of BYTE_UNITS) {
    if (Math.abs(amount) < 1024) break;
    amount /= 1024;
    unit = next;
  }
  return `${round(amount, Math.abs(amount) < 10 && unit !== 'B' ? 2 : 1)} ${unit}`;
}

function formatSeconds(value: number): string {
  if (value < 0) return `-${formatSeconds(-value)}`;
  if (value < 60) return `${round(value, 1)} s`;
  const minutes = Math.floor(value / 60);
  const parts: [number, string][] = [
    [Math.floor(minutes / 1440), 'd'],
    [Math.floor(minutes / 60) % 24, 'h'],
    [minutes % 60, 'min'],
  ];
  return parts
    .filter(([amount]) => amount > 0)
    .slice(0, 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

/** What stands at a dotted path of an output. */
function valueAt(output: Json, path: string): Json | undefined {
  let value: Json | undefined = output;
  for (const key of path.split('.')) {
    if (Array.isArray(value)) value = /^\d{1,6}$/.test(key) ? value[Number(key)] : undefined;
    else value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** The text or number at a dotted path, as people read it; undefined for anything else. */
export function shownAt(output: Json, path: string, unit: Unit | undefined): string | undefined {
  const value = valueAt(output, path);
  return value === undefined || value === null || !isScalar(value) ? undefined : formatScalar(value, unit);
}

/** The number at a dotted path of an output; a number written as text counts. */
export function numberAt(output: Json, path: string): number | undefined {
  const value = valueAt(output, path);
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  return typeof value === 'string' && /^[+-]?\d{1,15}(?:\.\d{1,15})?$/.test(value) ? Number(value) : undefined;
}

/** What stands beside a number in the same inner object, as `free 12 GiB, total 40 GiB`; empty at the top level. */
export function besideNumber(output: Json, path: string): string {
  const keys = path.split('.');
  const last = keys.pop();
  if (keys.length === 0) return '';
  const value = valueAt(output, keys.join('.'));
  if (!isJsonObject(value)) return '';
  const beside = Object.entries(value).filter(([key, item]) => key !== last && isScalar(item) && item !== null && item !== '');
  return beside
    .slice(0, 4)
    .map(([key, item]) => {
      const { name, unit } = nameAndUnit(key);
      return `${name} ${formatScalar(item, unit)}`;
    })
    .join(', ');
}

function isScalar(value: Json): value is string | number | boolean | null {
  return typeof value !== 'object' || value === null;
}

function formatScalar(value: Json, unit: Unit | undefined): string {
  if (typeof value === 'number') return formatNumber(value, unit);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return clip(plainText(withoutMarks(String(value))), MAX_VALUE);
}

const SUFFIXES: readonly (readonly [suffix: string, unit: Unit])[] = [
  ['Bytes', 'bytes'],
  ['Percent', 'percent'],
  ['Seconds', 'seconds'],
  ['AtMs', 'date'],
  ['Ms', 'milliseconds'],
];

/** `freeBytes` is "free", in bytes. */
function nameAndUnit(key: string): { readonly name: string; readonly unit: Unit | undefined } {
  const found = SUFFIXES.find(([suffix]) => key.endsWith(suffix) && key.length > suffix.length);
  const stem = found === undefined ? key : key.slice(0, -found[0].length);
  return { name: clip(plainText(spread(stem.replaceAll('_', ' ')).toLowerCase()), 60), unit: found?.[1] };
}

/** An output as text: text as it is, an object as `key: value` lines, a list as one line an item; all bounded. */
export function formatOutput(output: Json, maxText: number): string {
  const boundText = (text: string) => bound(text, maxText);
  if (typeof output === 'string') return boundText(output);
  if (isScalar(output)) return output === null ? 'done, without output' : formatScalar(output, undefined);
  if (Array.isArray(output)) return boundText(formatList(output).join('\n')) || 'nothing';
  const text = isJsonObject(output) ? (mainText(output, boundText) ?? onlyList(output, boundText)) : undefined;
  if (text !== undefined) return text;
  const lines = isJsonObject(output) ? objectLines(output, '', 0) : [];
  const shown = lines.length > MAX_OBJECT_LINES ? [...lines.slice(0, MAX_OBJECT_LINES), '…'] : lines;
  return boundText(shown.join('\n')) || 'done, without output';
}

const TEXT_KEYS = ['stdout', 'text', 'content', 'contents', 'body', 'output', 'result', 'answer', 'message'];

/** An object that is mostly one text, as a command's output or a file is: the text, and what else is worth saying. */
function mainText(output: JsonObject, boundText: (text: string) => string): string | undefined {
  const key = TEXT_KEYS.find((candidate) => typeof output[candidate] === 'string');
  if (key === undefined) return undefined;
  const text = String(output[key]);
  const errors = typeof output.stderr === 'string' ? output.stderr.trim() : '';
  const code = output.exitCode ?? output.code;
  const lines = [boundText(text.trimEnd())];
  if (errors !== '') lines.push(boundText(errors));
  if (typeof code === 'number' && code !== 0) lines.push(`(exit code ${code})`);
  if (output.truncated === true) lines.push('(cut short by the tool)');
  // A message stands over what it is about.
  for (const item of key === 'message' ? Object.values(output) : []) {
    if (Array.isArray(item)) lines.push(boundText(bulleted(item)));
  }
  const shown = lines.filter((line) => line !== '');
  return shown.length === 0 ? 'done, without output' : shown.join('\n');
}

/** An object that is one list with rows, and nothing else. */
function onlyList(output: JsonObject, boundText: (text: string) => string): string | undefined {
  const [only, ...others] = Object.values(output);
  if (!Array.isArray(only) || others.length > 0 || only.every(isScalar)) return undefined;
  return boundText(bulleted(only));
}

function bulleted(items: readonly Json[]): string {
  return formatList(items)
    .map((text) => `- ${text}`)
    .join('\n');
}

function objectLines(value: JsonObject, prefix: string, depth: number): string[] {
  const lines: string[] = [];
  for (const [key, item] of Object.entries(value)) {
    if (lines.length > MAX_OBJECT_LINES) break;
    const { name, unit } = nameAndUnit(key);
    const label = prefix === '' ? name : `${prefix} ${name}`;
    if (isScalar(item)) lines.push(`${label}: ${item === null ? 'none' : formatScalar(item, unit)}`);
    else if (Array.isArray(item)) lines.push(...listLines(label, item));
    else if (isJsonObject(item) && depth < MAX_DEPTH) lines.push(...objectLines(item, label, depth + 1));
    else lines.push(`${label}: …`);
  }
  return lines;
}

function listLines(label: string, items: readonly Json[]): string[] {
  if (items.length === 0) return [`${label}: none`];
  const texts = formatList(items);
  const oneLine = texts.join(', ');
  return oneLine.length <= 100 && items.every(isScalar)
    ? [`${label}: ${oneLine}`]
    : [`${label}:`, ...texts.map((text) => `- ${text}`)];
}

function formatList(items: readonly Json[]): string[] {
  const first = items.slice(0, MAX_LINES);
  const shown =
    (first.length > 0 ? formatRemembered(first) : undefined) ??
    first.map((item) => (isScalar(item) ? formatScalar(item, undefined) : formatRow(item)));
  return items.length > shown.length ? [...shown, `… and ${items.length - shown.length} more`] : shown;
}

const HEAD_KEYS = ['path', 'name', 'title', 'text', 'summary'];

/** One item of a list in a line: its name first, the rest behind. */
function formatRow(item: Json): string {
  if (!isJsonObject(item)) return clip(plainText(JSON.stringify(item)), MAX_VALUE);
  const entries = Object.entries(item).filter(([, value]) => isScalar(value) && value !== null && value !== '');
  const first = entries.find(([key]) => HEAD_KEYS.includes(key)) ?? entries[0];
  const rest = entries.filter((entry) => entry !== first && entry[0] !== 'id').slice(0, 6);
  if (first === undefined) return clip(plainText(JSON.stringify(item)), MAX_VALUE);
  const others = rest.map(([key, value]) => {
    const { name, unit } = nameAndUnit(key);
    return typeof value === 'string' ? formatScalar(value, unit) : `${name} ${formatScalar(value, unit)}`;
  });
  const head = formatScalar(first[1], nameAndUnit(first[0]).unit);
  return others.length === 0 ? head : `${head} (${others.join(', ')})`;
}

function bound(text: string, maxText: number): string {
  const clean = plainText(text.slice(0, maxText * 2));
  const lines = clean.split('\n');
  let bounded = lines.slice(0, MAX_LINES).join('\n');
  if (bounded.length > maxText) bounded = bounded.slice(0, maxText).toWellFormed();
  const isCut = bounded.length < clean.length || text.length > maxText * 2;
  return isCut ? `${bounded}\n… (${wholeLength(text).toLocaleString('en-US')} characters in all)` : bounded;
}
