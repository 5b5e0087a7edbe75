import type { Json } from '@skein/protocol';
import type { ToolCall } from '../brain.ts';
import { placeOf } from './catalog.ts';
import { directionFor } from './comparison.ts';
import type { Comparison } from './grades.ts';
import { plainText } from './plain-text.ts';
import { besideNumber, formatNumber, formatOutput, numberAt, shownAt } from './readable.ts';
import { isJsonObject } from './slot-values.ts';
import type { Subject } from './subject.ts';
import { exampleOf, isSameJson } from './subject.ts';
import { clip, listOf, nameOf } from './suggestions.ts';

/** Characters shown of one output, and of all in an answer. */
const MAX_TEXT = 6_000;
const MAX_TEXT_IN_ALL = 60_000;

/** One call that was made and what came back; no outcome when none is on record. */
export interface Outcome {
  readonly call: ToolCall;
  readonly result: { readonly output: Json; readonly ok: boolean } | undefined;
}

/** The answer to a request from what its calls brought: outputs are shown and compared, never read as words to act on. */
export function composeAnswer(
  subjects: readonly Subject[],
  outcomes: readonly Outcome[],
  options: { readonly thisNode: string; readonly notes: readonly string[] },
): string {
  const maxText = Math.min(MAX_TEXT, Math.floor(MAX_TEXT_IN_ALL / Math.max(1, outcomes.length)));
  const told = new Set<Outcome>();
  const sections: string[] = [];
  for (const subject of subjects) {
    const own = outcomesFor(subject, subjects, outcomes);
    for (const outcome of own) told.add(outcome);
    const alike = subjects.some((other) => other.base === subject.base && other.about !== subject.about);
    const telling = { thisNode: options.thisNode, maxText, about: alike ? subject.about : '' };
    if (own.length > 0) sections.push(tellSubject(subject, own, telling));
  }
  const rest = outcomes.filter((outcome) => !told.has(outcome));
  const telling = { thisNode: options.thisNode, maxText, about: '' };
  sections.push(...rest.map((outcome) => tellOutcome(outcome, undefined, telling)), ...options.notes);
  return sections.filter((section) => section !== '').join('\n');
}

interface Telling {
  readonly thisNode: string;
  readonly maxText: number;
  /** What tells this subject from others of the same tool, when there are some. */
  readonly about: string;
}

/**
 * The outcomes of a subject's own calls. One no subject claims any more, since its node has left meanwhile, goes to the
 * first whose call it was.
 */
function outcomesFor(subject: Subject, subjects: readonly Subject[], outcomes: readonly Outcome[]): Outcome[] {
  return outcomes.filter(({ call }) => {
    const { label, base } = placeOf(call);
    const callers = subjects.filter((other) => other.base === base && isSameJson(other.input, call.input));
    if (!callers.includes(subject)) return false;
    return subject.labels.includes(label) || (callers[0] === subject && !callers.some((other) => other.labels.includes(label)));
  });
}

function tellSubject(subject: Subject, outcomes: readonly Outcome[], telling: Telling): string {
  const field = exampleOf(subject)?.field;
  if (subject.comparison !== undefined && field !== undefined && outcomes.length > 1) {
    return tellComparison(subject, { outcomes, field, comparison: subject.comparison, telling });
  }
  const lines = outcomes.map((outcome) => tellOutcome(outcome, subject, telling));
  if (subject.comparison !== undefined && field === undefined && outcomes.length > 1) {
    lines.push('There is no single number in these to compare by.');
  }
  return lines.join('\n');
}

function tellOutcome(outcome: Outcome, subject: Subject | undefined, { thisNode, maxText, about }: Telling): string {
  const node = nameOf(placeOf(outcome.call).label, thisNode);
  const name = about === '' ? node : `${node}, ${clip(plainText(about), 100)}`;
  const { result } = outcome;
  if (result === undefined) return `${name}: no result is on record.`;
  if (!result.ok) return `${name} ${tellFailure(result.output)}`;
  const example = subject === undefined ? undefined : exampleOf(subject);
  const shown = example?.field === undefined ? undefined : shownAt(result.output, example.field, example.unit);
  if (example?.field !== undefined && shown !== undefined) {
    const beside = besideNumber(result.output, example.field);
    return `${name}: ${labelOf(subject)} ${shown}${beside === '' ? '' : ` (${beside})`}`;
  }
  const text = formatOutput(result.output, maxText);
  return text.includes('\n') ? `${name}:\n${text}` : `${name}: ${text}`;
}

/** What failed, in words: an error as the turn loop gives it, its message, or its code. */
function tellFailure(output: Json): string {
  const error = isJsonObject(output) && isJsonObject(output.error) ? output.error : output;
  const code = isJsonObject(error) ? error.code : undefined;
  const message = isJsonObject(error) ? (error.message ?? error.error) : error;
  const said = typeof message === 'string' ? message : JSON.stringify(message ?? error);
  const verb =
    code === 'denied'
      ? 'refused'
      : code === undefined || code === 'unavailable' || code === 'deadline-exceeded' || code === 'canceled'
        ? 'did not answer'
        : 'could not do it';
  return `${verb}: ${clip(plainText(said), 400)}`;
}

function labelOf(subject: Subject | undefined): string {
  const example = subject === undefined ? undefined : exampleOf(subject);
  return clip(plainText(example?.label ?? example?.field ?? 'value'), 60);
}

interface Measured {
  readonly name: string;
  readonly value: number;
}

interface ComparisonParts {
  readonly outcomes: readonly Outcome[];
  readonly field: string;
  readonly comparison: Comparison;
  readonly telling: Telling;
}

function tellComparison(subject: Subject, { outcomes, field, comparison, telling }: ComparisonParts): string {
  const unit = exampleOf(subject)?.unit;
  const label = labelOf(subject);
  const measured: Measured[] = [];
  const missing: string[] = [];
  for (const outcome of outcomes) {
    const name = nameOf(placeOf(outcome.call).label, telling.thisNode);
    const value = outcome.result?.ok ? numberAt(outcome.result.output, field) : undefined;
    if (value !== undefined) measured.push({ name, value });
    else if (outcome.result?.ok) missing.push(`${name} gave no number for ${label}.`);
    else missing.push(tellOutcome(outcome, subject, telling));
  }
  if (measured.length === 0) return missing.join('\n');
  const direction = subject.intent === undefined ? comparison.direction : directionFor(comparison, subject.intent);
  const ordered = measured.toSorted((left, right) =>
    direction === 'max' ? right.value - left.value : left.value - right.value,
  );
  const lines = ordered.map(({ name, value }) => `- ${name}: ${formatNumber(value, unit)}`);
  return [winnerLine(ordered, { direction, label, unit, partial: missing.length > 0 }), ...lines, ...missing].join('\n');
}

interface Wording {
  readonly direction: 'max' | 'min';
  readonly label: string;
  readonly unit: Parameters<typeof formatNumber>[1];
  readonly partial: boolean;
}

function winnerLine(ordered: readonly Measured[], { direction, label, unit, partial }: Wording): string {
  const [best] = ordered;
  if (best === undefined) return '';
  const value = formatNumber(best.value, unit);
  const alike = ordered.filter((other) => formatNumber(other.value, unit) === value);
  const level = alike.map(({ name }) => name);
  const same = alike.every((other) => other.value === best.value) ? 'the same' : 'about the same';
  const among = partial ? ' of those that answered' : '';
  if (ordered.length === 1) return `Only ${best.name} answered with ${label}: ${value}.`;
  const counts = unit === 'bytes' || unit === 'count';
  const word = counts ? (direction === 'max' ? 'most' : 'least') : direction === 'max' ? 'highest' : 'lowest';
  if (level.length === ordered.length) return `${listOf(level)} have ${same} ${label}: ${value}.`;
  if (level.length > 1) return `${listOf(level)} share the ${word} ${label}${among}, ${same}: ${value}.`;
  return `${best.name} has the ${word} ${label}${among}: ${value}.`;
}
