import { parseArgs } from 'node:util';
import type { Contender } from './contender.ts';
import { CONTENDERS, findContender } from './contenders.ts';

const HELP = `Usage: npm run -s bench -- [options]

Measures calls beside those of others, in ratios of one run, and the other figures Skein is held to.

Options:
  --quick          fewer and shorter rounds: about two minutes instead of seven
  --json FILE      also writes all numbers to a file
  --only NAMES     calls of these alone, with commas: ${CONTENDERS.map(({ name }) => name).join(', ')}
  --cpu-prof DIR   writes a CPU profile of every process that calls or answers
  -h, --help       shows this`;

export interface BenchOptions {
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly cpuProf: string | undefined;
  readonly contenders: readonly Contender[];
}

/** What the command line asks for; undefined when that was the help, or when it was wrong, which has then been said. */
export function readOptions(): BenchOptions | undefined {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        only: { type: 'string' },
        'cpu-prof': { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!values.help) {
      const contenders = values.only?.split(',').map(findContender) ?? CONTENDERS;
      return { quick: values.quick, json: values.json, cpuProf: values['cpu-prof'], contenders };
    }
    process.stdout.write(`${HELP}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}\n`);
    process.exitCode = 2;
  }
  return undefined;
}
