// `npm test` runs the checks and every test; `npm test -- packages/x` only the tests whose path holds that text.
import { type Reporter, startVitest, type TestCase, type TestModule } from 'vitest/node';
import { runChecks } from './checks.ts';
import { ROOT, SetUpError, setUp } from './set-up.mjs';
import { systemTools } from './system-tools.ts';

/** A machine may be stopped for seconds by others; more tests than these that fail at first are the project's doing. */
const SECOND_TRIES_MAX = 3;

const filters = process.argv.slice(2);
const requireAll = [process.env.CI, process.env.SKEIN_REQUIRE_ALL].some((value) => value && value !== '0' && value !== 'false');
// Nothing of the caller's own set-up reaches the nodes that tests start.
for (const name of Object.keys(process.env)) if (name.startsWith('SKEIN_')) delete process.env[name];

const checks = filters.length === 0 ? await runChecks() : { passed: 0, failed: 0 };
const page = await buildPage();
const tests = await runTests();

const passed = checks.passed + tests.passed;
const failed = checks.failed + page.failed + tests.failed;
const leftOut = tests.leftOut.length;
const unsteady = tests.secondTries.length > SECOND_TRIES_MAX;
if (tests.secondTries.length > 0) process.stdout.write(describeSecondTries(tests.secondTries));
if (leftOut > 0) process.stdout.write(describeLeftOut(tests.leftOut));
process.stdout.write(`${passed} passed, ${failed} failed${leftOut === 0 ? '' : `, ${leftOut} skipped`}\n`);
process.exitCode = failed === 0 && tests.complete && !unsteady && !(requireAll && leftOut > 0) ? 0 : 1;

/** Tests in a browser open the built page; the others run without it. */
async function buildPage(): Promise<{ readonly failed: number }> {
  try {
    await setUp({ page: true });
    return { failed: 0 };
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    process.stdout.write(`${error.message}\n`);
    return { failed: 1 };
  }
}

interface TestsEnd {
  readonly passed: number;
  readonly failed: number;
  readonly leftOut: readonly TestCase[];
  /** Those that failed and then passed. */
  readonly secondTries: readonly TestCase[];
  /** False when the run itself went wrong, whatever the tests said. */
  readonly complete: boolean;
}

async function runTests(): Promise<TestsEnd> {
  const end = { passed: 0, failed: 0, leftOut: [] as TestCase[], secondTries: [] as TestCase[], complete: false };
  const counter: Reporter = {
    onTestRunEnd(modules, unhandled, reason) {
      for (const module of modules) count(module, end);
      end.failed += unhandled.length;
      end.complete = reason === 'passed' && end.passed > 0;
    },
  };
  // Where nobody looks on, one hiccup of the machine must not cost the whole run; it is told all the same.
  const options = { root: ROOT, watch: false, reporters: ['default', counter], retry: requireAll ? 1 : 0 };
  const vitest = await startVitest('test', filters, options);
  await vitest.close();
  return end;
}

interface Counts {
  passed: number;
  failed: number;
  readonly leftOut: TestCase[];
  readonly secondTries: TestCase[];
}

function count(module: TestModule, end: Counts): void {
  // A file that fails to load has no tests to fail.
  end.failed += module.errors().length;
  for (const suite of module.children.allSuites()) end.failed += suite.errors().length;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (test.diagnostic()?.flaky) end.secondTries.push(test);
    if (state === 'passed') end.passed += 1;
    else if (state === 'failed') end.failed += 1;
    else end.leftOut.push(test);
  }
}

function describeSecondTries(tests: readonly TestCase[]): string {
  const bound = unsteady ? `, and at most ${SECOND_TRIES_MAX} may` : '';
  return [`Passed only at the second try${bound}:`, ...tests.map((test) => `  ${nameOf(test)}`), ''].join('\n');
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function describeLeftOut(leftOut: readonly TestCase[]): string {
  const lines = leftOut.map((test) => {
    const result = test.result();
    const note = result.state === 'skipped' && result.note ? ` (${result.note})` : '';
    return `  ${nameOf(test)}${note}`;
  });
  const missing = systemTools().filter((tool) => !tool.present);
  return [
    `Left out${requireAll ? ', and all are asked for here' : ''}:`,
    ...lines,
    ...missing.map((tool) => `  Missing here: ${tool.name}. To have it: ${tool.install}`),
    '',
  ].join('\n');
}
