// `node scripts/launch.mjs [ARGS of skein]`, or `--script FILE ARGS` for a script of the project: sets up, then runs it.
import path from 'node:path';
import { runProgram } from '../packages/cli/bin/run.mjs';
import { ROOT, SetUpError, setUp } from './set-up.mjs';

const args = process.argv.slice(2);
const isScript = args[0] === '--script';
const program = path.join(ROOT, isScript ? (args[1] ?? '') : 'packages/cli/src/main.ts');

try {
  await setUp({ page: args[0] === 'demo' || args[0] === 'start' });
  await runProgram(program, isScript ? args.slice(2) : args, {
    cacheDir: path.join(ROOT, 'node_modules', '.cache', 'skein'),
    retry: `npm ${process.env.npm_lifecycle_event === undefined ? 'start' : `run ${process.env.npm_lifecycle_event}`}`,
  });
} catch (error) {
  if (!(error instanceof SetUpError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
