// `npm run bench`; its options are in options.ts.
import { writeFileSync } from 'node:fs';
import { showStep } from '../../scripts/progress.mjs';
import { BASELINE } from './contenders.ts';
import { measureSignatures } from './ed25519.ts';
import { atMost, FULL_PACE, QUICK_PACE } from './figure.ts';
import { FIGURES } from './figures.ts';
import type { Measurement } from './measure.ts';
import { readOptions } from './options.ts';
import { type Pair, startPair } from './pair.ts';
import { describeMachine, type FigureResult, formatReport, type Report, rowOf, type Series } from './report.ts';

const CONCURRENCIES = [1, 64, 256];

const options = readOptions() ?? process.exit();
const pace = options.quick
  ? { rounds: 3, roundMs: 300, warmUpMs: 200, batches: 5 }
  : { rounds: 7, roundMs: 1_200, warmUpMs: 1_000, batches: 21 };

const chosen = [...new Set([BASELINE, ...options.contenders])];
const runnable = chosen.filter((contender) => contender.missing() === null);
const signatures = measureSignatures(pace.batches);
const rows = (await measureAll()).map(rowOf);
const figures = await measureFigures();
const report: Report = {
  ...describeMachine(),
  roundMs: pace.roundMs,
  rows,
  signatures,
  signedFloorUs: bareCallUs() + 2 * (signatures.signUs + signatures.verifyUs),
  figures,
  leftOut: chosen.flatMap((contender) => {
    const reason = contender.missing();
    return reason === null ? [] : [`${contender.title}: ${reason}`];
  }),
};
process.stdout.write(`${formatReport(report)}\n`);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);

/** Every contender at every concurrency, each round through all of them, so that a slow moment hits all alike. */
async function measureAll(): Promise<readonly Series[]> {
  const profile = options.cpuProf;
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  await using stack = new AsyncDisposableStack();
  const pairs: Pair[] = [];
  for (const contender of runnable) pairs.push(stack.use(await startPair(contender, execArgv)));
  const series: Series[] = [];
  for (const inFlight of CONCURRENCIES) {
    await showStep(`${inFlight} in flight`, async () => {
      series.push(...(await measureConcurrency(pairs, inFlight)));
    });
  }
  return series;
}

async function measureConcurrency(pairs: readonly Pair[], inFlight: number): Promise<readonly Series[]> {
  for (const pair of pairs) await pair.measure({ inFlight, durationMs: pace.warmUpMs });
  const rounds: (readonly Measurement[])[] = [];
  for (let round = 0; round < pace.rounds; round += 1) {
    const measurements: Measurement[] = [];
    for (const pair of pairs) measurements.push(await pair.measure({ inFlight, durationMs: pace.roundMs }));
    rounds.push(measurements);
  }
  return pairs.map(({ contender: { name, title } }, i) => {
    const own = rounds.flatMap((round) => round[i] ?? []);
    const ratios = rounds.flatMap(([bare, ...others]) => {
      const measured = i === 0 ? bare : others[i - 1];
      return bare === undefined || measured === undefined ? [] : measured.callsPerSecond / bare.callsPerSecond;
    });
    return { name, title, inFlight, rounds: own, ratios };
  });
}

async function measureFigures(): Promise<readonly FigureResult[]> {
  const results: FigureResult[] = [];
  for (const figure of FIGURES) {
    // One that fails costs the run its success, not what was measured before.
    try {
      await showStep(figure.title, async () => {
        const measured = await figure.measure(options.quick ? QUICK_PACE : FULL_PACE);
        results.push(...measured.map((one) => ({ ...one, problem: null })));
      });
    } catch (error) {
      results.push({ ...atMost(figure.title, '', null, null), problem: String(error) });
      process.exitCode = 1;
    }
  }
  return results;
}

function bareCallUs(): number {
  const bare = rows.find((row) => row.name === BASELINE.name && row.inFlight === 1);
  return bare === undefined ? Number.NaN : 1e6 / bare.callsPerSecond;
}
