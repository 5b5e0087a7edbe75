import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { showStep } from './progress.mjs';
import { runCommand } from './run-command.mjs';
import { ROOT } from './set-up.mjs';

interface Check {
  readonly title: string;
  /** Each runs with the Node this runs on; the first that fails ends the check. */
  readonly commands: readonly (readonly [script: string, ...args: string[]])[];
}

const BIOME = 'node_modules/@biomejs/biome/bin/biome';
const TSC = 'node_modules/typescript/bin/tsc';
const KNIP = 'node_modules/knip/bin/knip.js';
const PUBLINT = 'node_modules/publint/src/cli.js';

/** Runs every check, shows each as it goes and what it found; gives how many passed and failed. */
export async function runChecks(): Promise<{ readonly passed: number; readonly failed: number }> {
  let failed = 0;
  const checks = listChecks();
  for (const check of checks) if (!(await runCheck(check))) failed += 1;
  return { passed: checks.length - failed, failed };
}

function listChecks(): readonly Check[] {
  const page = 'packages/dashboard/tsconfig.json';
  return [
    { title: 'Format and lint', commands: [[BIOME, 'check', '--error-on-warnings', '--max-diagnostics=50']] },
    {
      title: 'Types',
      commands: [[TSC, '-p', 'tsconfig.json'], ...(existsSync(path.join(ROOT, page)) ? [[TSC, '-p', page] as const] : [])],
    },
    { title: 'Dead code', commands: [[KNIP, '--no-progress', '--no-config-hints']] },
    {
      title: 'Packages build and publish',
      commands: [
        [TSC, '-b', 'tsconfig.build.json'],
        ...publicPackages().map((folder) => [PUBLINT, folder, '--strict', '--pack', 'false'] as const),
      ],
    },
  ];
}

async function runCheck({ title, commands }: Check): Promise<boolean> {
  let found = '';
  try {
    await showStep(title, async () => {
      for (const [script, ...args] of commands) {
        const { code, output } = await runCommand(process.execPath, [script, ...args], { cwd: ROOT });
        if (code === 0) continue;
        found = output.trim();
        throw new Error(`${script} ended with ${code}`);
      }
    });
    return true;
  } catch (error) {
    if (found === '') throw error;
    process.stdout.write(`${found}\n\n`);
    return false;
  }
}

function publicPackages(): readonly string[] {
  const isPublic = (folder: string) =>
    !readFileSync(path.join(ROOT, folder, 'package.json'), 'utf8').includes('"private": true');
  return readdirSync(path.join(ROOT, 'packages'))
    .map((name) => path.join('packages', name))
    .filter((folder) => existsSync(path.join(ROOT, folder, 'package.json')) && isPublic(folder));
}
