// `npm run prove`: the figures to reach, each by its tests at their full size. Options are below.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Reporter, startVitest, type TestModule } from 'vitest/node';
import { nearestNames } from '../packages/protocol/src/nearest-names.ts';
import { PROOF_VARIABLE, type Proof, readMeasurements } from '../packages/testing/src/sized.ts';
import { showStep } from './progress.mjs';
import { formatProof, judge, type ProofResult, type TestsEnd } from './proof-report.ts';
import { PROOF_GOALS, type ProofGoal } from './proof-rows.ts';
import { ROOT } from './set-up.mjs';
import { systemTools } from './system-tools.ts';

const HELP = `Usage: npm run -s prove -- [options] [ROW ...]

Runs the tests behind each figure at full size, one row after the other, and holds what they measured against its goal.
All rows take hours. Give the machine nothing else to do: some rows measure time.

Rows:
${PROOF_GOALS.map(({ row, goal }) => `  ${row.padEnd(16)} ${goal}`).join('\n')}

Options:
  --share N        so much of the full size, and of what is to be reached: 0.1 is a tenth
  --json           prints the results as JSON instead of a table
  -h, --help       shows this
`;

interface Options {
  readonly goals: readonly ProofGoal[];
  readonly share: number;
  readonly json: boolean;
}

const options = readOptions();
if (options !== undefined) await prove(options);

/** What the command line asks for; undefined when that was the help, or when it was wrong, which has then been said. */
function readOptions(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        share: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return undefined;
    }
    const share = Number(values.share);
    if (!(share > 0 && share <= 1)) throw new Error(`--share is ${values.share}; it is above 0 and at most 1`);
    const goals = positionals.length === 0 ? PROOF_GOALS : positionals.map(findGoal);
    return { goals, share, json: values.json };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\nSee: npm run prove -- --help\n`);
    process.exitCode = 2;
    return undefined;
  }
}

function findGoal(name: string): ProofGoal {
  const goal = PROOF_GOALS.find(({ row }) => row === name);
  if (goal !== undefined) return goal;
  const [nearest] = nearestNames(
    name,
    PROOF_GOALS.map(({ row }) => row),
  );
  throw new Error(`There is no row ${name}${nearest === undefined ? '' : `; did you mean ${nearest}?`}`);
}

async function prove({ goals, share, json }: Options): Promise<void> {
  // Nothing of the caller's own set-up reaches the nodes that tests start.
  for (const name of Object.keys(process.env)) if (name.startsWith('SKEIN_')) delete process.env[name];
  const directory = mkdtempSync(path.join(tmpdir(), 'skein-prove-'));
  try {
    const results: ProofResult[] = [];
    for (const goal of goals) results.push(await proveRow(goal, { file: path.join(directory, goal.row), share }));
    process.stdout.write(json ? `${JSON.stringify(results, null, 2)}\n` : `${formatProof(results)}\n`);
    if (results.some(({ leftOut }) => leftOut.length > 0)) sayWhatIsMissing();
    process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function proveRow(goal: ProofGoal, proof: Proof): Promise<ProofResult> {
  writeFileSync(proof.file, '');
  process.env[PROOF_VARIABLE] = JSON.stringify(proof);
  let result: ProofResult | undefined;
  try {
    await showStep(goal.row, async () => {
      const end = await runTests(goal);
      result = judge(goal, readMeasurements(proof.file), end, proof.share);
      if (!result.passed) throw new Error('shown as failed');
    });
  } catch (error) {
    if (result === undefined) throw error;
  }
  if (result === undefined) throw new Error(`${goal.row} has no result`);
  return result;
}

async function runTests({ files, only, atMost }: ProofGoal): Promise<TestsEnd> {
  const startedMs = performance.now();
  const failures: string[] = [];
  const leftOut: string[] = [];
  const collector: Reporter = {
    onTestRunEnd(modules, unhandled) {
      for (const module of modules) collect(module, only, { failures, leftOut });
      failures.push(...unhandled.map(({ message }) => message));
    },
  };
  const pattern = only === undefined ? {} : { testNamePattern: only };
  // What measures its time or its memory has the machine for itself.
  const alone = atMost === undefined ? {} : { fileParallelism: false, maxConcurrency: 1 };
  const vitest = await startVitest('test', [...files], {
    root: ROOT,
    watch: false,
    reporters: [collector],
    ...pattern,
    ...alone,
  });
  await vitest.close();
  return { failures, leftOut, seconds: (performance.now() - startedMs) / 1_000 };
}

function collect(
  module: TestModule,
  only: RegExp | undefined,
  { failures, leftOut }: Record<'failures' | 'leftOut', string[]>,
): void {
  const { relativeModuleId: file, children } = module;
  failures.push(...module.errors().map(({ message }) => `${file}: ${message}`));
  for (const suite of children.allSuites())
    failures.push(...suite.errors().map(({ message }) => `${suite.fullName}: ${message}`));
  for (const test of children.allTests()) {
    const { state, errors } = test.result();
    if (state === 'failed') failures.push(`${file} > ${test.fullName}: ${errors?.[0]?.message ?? 'no reason given'}`);
    // Those of other rows are skipped too.
    if (state === 'skipped' && (only === undefined || only.test(test.fullName))) leftOut.push(`${file} > ${test.fullName}`);
  }
}

function sayWhatIsMissing(): void {
  for (const { name, install } of systemTools().filter(({ present }) => !present)) {
    process.stderr.write(`Missing here: ${name}. To have it: ${install}\n`);
  }
}
