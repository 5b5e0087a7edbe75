import type { Measurement } from '../packages/testing/src/sized.ts';
import type { ProofGoal } from './proof-rows.ts';

/** What became of the tests of a row. */
export interface TestsEnd {
  /** What each that failed said. */
  readonly failures: readonly string[];
  /** Those that could not run here, by name. */
  readonly leftOut: readonly string[];
  readonly seconds: number;
}

/** One line of the table. */
export interface ProofResult extends TestsEnd {
  readonly row: string;
  readonly goal: string;
  /** Of the full size. */
  readonly share: number;
  /** All that was measured, by name. */
  readonly reached: Readonly<Record<string, number>>;
  /** What falls short of the goal. */
  readonly short: readonly string[];
  readonly passed: boolean;
}

/** Holds what the tests of a row measured against its goal; of a part of the full size, that part of each count is asked. */
export function judge(goal: ProofGoal, measurements: readonly Measurement[], end: TestsEnd, share: number): ProofResult {
  const counts: Record<string, number> = {};
  const peaks: Record<string, number> = {};
  const spreads: Record<string, number[]> = {};
  for (const one of measurements) {
    if (one.row !== goal.row) continue;
    for (const [name, count] of Object.entries(one.counts)) counts[name] = (counts[name] ?? 0) + count;
    for (const [name, peak] of Object.entries(one.peaks)) peaks[name] = Math.max(peaks[name] ?? Number.NEGATIVE_INFINITY, peak);
    for (const [name, values] of Object.entries(one.p99s)) spreads[name] = [...(spreads[name] ?? []), ...values];
  }
  for (const [name, values] of Object.entries(spreads)) peaks[name] = p99(values);
  const reached = { ...counts, ...peaks };
  const tooFew = Object.entries(goal.atLeast).flatMap(([name, least]) => {
    const wanted = name in peaks ? least : least * share;
    const had = reached[name] ?? 0;
    return had >= wanted ? [] : [`${formatFigure(name, had)}, not ${formatNumber(wanted)}`];
  });
  const tooMuch = Object.entries(goal.atMost ?? {}).flatMap(([name, most]) => {
    const had = reached[name];
    if (had === undefined) return [`${name} was not measured`];
    return had <= most ? [] : [`${formatFigure(name, had)}, above ${formatNumber(most)}`];
  });
  const short = [...tooFew, ...tooMuch];
  const passed = short.length === 0 && end.failures.length === 0;
  return { row: goal.row, goal: goal.goal, share, reached, short, passed, ...end };
}

/** The rows as one table for people. */
export function formatProof(results: readonly ProofResult[]): string {
  const width = Math.max(...results.map(({ row }) => row.length));
  const lines = results.flatMap((result) => {
    const figures = Object.entries(result.reached).map(([name, value]) => formatFigure(name, value));
    const part = result.share === 1 ? '' : `, ${formatNumber(100 * result.share)} % of the full size`;
    const at = ' '.repeat(width + 9);
    return [
      `${result.row.padEnd(width)}  ${result.passed ? 'passed' : 'FAILED'} ${result.goal}`,
      `${at}reached: ${figures.length === 0 ? 'nothing' : figures.join(', ')} (${formatNumber(result.seconds)} s${part})`,
      ...result.short.map((words) => `${at}short: ${words}`),
      ...result.failures.map((words) => `${at}failed: ${words.replaceAll('\n', `\n${at}  `)}`),
      ...result.leftOut.map((words) => `${at}left out: ${words}`),
    ];
  });
  const passed = results.filter((result) => result.passed).length;
  return [...lines, `${passed} passed, ${results.length - passed} failed`].join('\n');
}

/** `fail points 12`, `recovery 800 ms`: the name as words, the value, and the unit that the name ends with. */
function formatFigure(name: string, value: number): string {
  const unit = /(?:MiB|Ms)$/.exec(name)?.[0] ?? '';
  const words = name.slice(0, name.length - unit.length).replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return `${words} ${formatNumber(value)}${unit === '' ? '' : ` ${unit === 'Ms' ? 'ms' : unit}`}`;
}

function formatNumber(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 });
}

/** The value that all but a hundredth of these are at most; of none it is NaN. */
export function p99(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.NaN;
}
