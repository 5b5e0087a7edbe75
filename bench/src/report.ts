import os from 'node:os';
import type { SignatureCost } from './ed25519.ts';
import type { Measured } from './figure.ts';
import { type Measurement, median } from './measure.ts';

/** A contender's rounds at one concurrency, each beside the baseline's of the same round. */
export interface Series {
  readonly name: string;
  readonly title: string;
  readonly inFlight: number;
  readonly rounds: readonly Measurement[];
  readonly ratios: readonly number[];
}

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly title: string;
  readonly inFlight: number;
  readonly callsPerSecond: number;
  /** Calls a second against the bare echo's, the median of the rounds' own ratios. */
  readonly ratio: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly rounds: readonly Measurement[];
}

/** A single figure as it was measured. */
export interface FigureResult extends Measured {
  /** Why it failed; null when it did not. */
  readonly problem: string | null;
}

/** Everything a run gave; what `--json` writes. */
export interface Report {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly roundMs: number;
  readonly rows: readonly Row[];
  readonly signatures: SignatureCost;
  /** A bare call's mean time with one in flight, and two signatures and two verifications on top. */
  readonly signedFloorUs: number;
  readonly figures: readonly FigureResult[];
  readonly leftOut: readonly string[];
}

/** The medians of a series. */
export function rowOf({ ratios, ...series }: Series): Row {
  const middle = (pick: (round: Measurement) => number) => median(series.rounds.map(pick));
  return {
    ...series,
    callsPerSecond: middle((round) => round.callsPerSecond),
    ratio: median(ratios),
    p50Us: middle((round) => round.p50Us),
    p99Us: middle((round) => round.p99Us),
  };
}

/** What the run ran on. */
export function describeMachine(): { readonly node: string; readonly cpu: string; readonly cores: number } {
  return { node: process.version, cpu: os.cpus()[0]?.model.trim() ?? 'unknown', cores: os.availableParallelism() };
}

/** The report as one table for people. */
export function formatReport(report: Report): string {
  const titleWidth = Math.max(...report.rows.map((row) => row.title.length), SIGNED_FLOOR.length);
  const concurrencies = [...new Set(report.rows.map((row) => row.inFlight))];
  const lines = concurrencies.flatMap((inFlight) => [
    `${`${inFlight} in flight`.padEnd(titleWidth)}    calls/s   x echo     p50 us     p99 us${inFlight === 1 ? '   x floor' : ''}`,
    ...report.rows.filter((row) => row.inFlight === inFlight).map((row) => formatRow(row, titleWidth, report.signedFloorUs)),
    ...(inFlight === 1 ? [formatFloor(report, titleWidth)] : []),
    '',
  ]);
  const { signUs, verifyUs } = report.signatures;
  return [
    `Node ${report.node}, ${report.cores} x ${report.cpu}; 600-byte arguments and results, separate processes, loopback`,
    `Ed25519 here: ${signUs.toFixed(1)} us a signature, ${verifyUs.toFixed(1)} us a verification`,
    '',
    ...lines,
    ...report.figures.map(formatFigure),
    ...report.leftOut.map((reason) => `Left out: ${reason}`),
  ].join('\n');
}

const SIGNED_FLOOR = 'floor: echo + 2 signatures + 2 verifications';

function formatRow(row: Row, width: number, floorUs: number): string {
  const floor = row.inFlight === 1 ? (1e6 / row.callsPerSecond / floorUs).toFixed(2).padStart(10) : '';
  return (
    row.title.padEnd(width) +
    Math.round(row.callsPerSecond).toString().padStart(11) +
    row.ratio.toFixed(2).padStart(9) +
    row.p50Us.toFixed(0).padStart(11) +
    row.p99Us.toFixed(0).padStart(11) +
    floor
  );
}

function formatFloor({ rows, signedFloorUs }: Report, width: number): string {
  const bare = rows.find((row) => row.inFlight === 1);
  const ratio = bare === undefined ? Number.NaN : 1e6 / signedFloorUs / bare.callsPerSecond;
  return `${SIGNED_FLOOR.padEnd(width)}${Math.round(1e6 / signedFloorUs)
    .toString()
    .padStart(11)}${ratio.toFixed(2).padStart(9)}${' '.repeat(22)}${'1.00'.padStart(10)}`;
}

function formatFigure({ title, unit, goal, bound, value, problem }: FigureResult): string {
  const shown = value === null ? (problem ?? 'not measured here') : `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
  return `${title}: ${shown}${goal === null ? '' : ` (goal: ${bound} ${goal} ${unit})`}`;
}
