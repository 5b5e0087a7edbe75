import { appendFileSync, readFileSync } from 'node:fs';
import { z } from 'zod';

/** The rows of figures that `npm run prove` shows are reached; a test says which of them it stands for. */
export const PROOF_ROWS = [
  'kills',
  'power-cuts',
  'simulation',
  'partitions',
  'failover',
  'slow-peer',
  'providers',
  'disk',
  'sessions',
  'fuzz',
  'tampering',
  'replay',
  'permissions',
  'obedient-model',
  'flood',
  'revocation',
  'loop-lag',
] as const;
export type ProofRow = (typeof PROOF_ROWS)[number];

/** Set by `npm run prove` for the tests it runs, and by nobody else. */
export const PROOF_VARIABLE = 'FULL_SIZE_PROOF';

const proof = z.object({
  /** Where the tests write down what they measured. */
  file: z.string(),
  /** Of the full size: 1 is all of it. */
  share: z.number().gt(0).max(1),
});

/** What a test is told by whoever runs it at full size. */
export type Proof = z.infer<typeof proof>;

const measurement = z.object({
  row: z.enum(PROOF_ROWS),
  /** Added up over all tests of a row: how many kills, seeds, frames. */
  counts: z.record(z.string(), z.number()).default({}),
  /** Of all tests of a row the largest: milliseconds, MiB, frames a second; the unit stands in the name. */
  peaks: z.record(z.string(), z.number()).default({}),
  /** Of all tests of a row together the 99th percentile of these, with the unit in the name. */
  p99s: z.record(z.string(), z.array(z.number())).default({}),
});

/** What one test measured for one row. */
export type Measurement = z.infer<typeof measurement>;

function readProof(): Proof | undefined {
  // biome-ignore lint/style/noProcessEnv: a test has no other way to be told by the program that runs it.
  const text = process.env[PROOF_VARIABLE];
  return text === undefined ? undefined : proof.parse(JSON.parse(text));
}

/** How many of something a test takes: `ci` in `npm test`; in `npm run prove` so much of `full` as is asked for, at least `ci`. */
export function sized({ ci, full }: { readonly ci: number; readonly full: number }): number {
  const asked = readProof();
  return asked === undefined ? ci : Math.max(ci, Math.ceil(full * asked.share));
}

/** How long a test may take, in milliseconds: `ci` in `npm test`, `full` in `npm run prove`, however much of it is asked for. */
export function sizedTimeout({ ci, full }: { readonly ci: number; readonly full: number }): number {
  return readProof() === undefined ? ci : full;
}

/** Writes down what a test measured, for the table of `npm run prove`; does nothing in `npm test`. */
export function measured(row: ProofRow, figures: Partial<Omit<Measurement, 'row'>>): void {
  const asked = readProof();
  if (asked === undefined) return;
  // Parsed as it will be read: what is no number must not become null in between.
  appendFileSync(asked.file, `${JSON.stringify(measurement.parse({ row, ...figures }))}\n`);
}

/** All that was measured so far, as it was written to this file. */
export function readMeasurements(file: string): readonly Measurement[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((line) => (line === '' ? [] : [measurement.parse(JSON.parse(line))]));
}
