import { Command } from 'commander';
import type { DemoOptions } from '../demo/run-demo.ts';
import { parseBrain } from '../option-values.ts';
import type { Shell } from '../shell.ts';

/** `skein demo` */
export function demoCommand(shell: Shell): Command {
  return new Command('demo')
    .description('three agents on this machine that use each other’s tools')
    .option('--once <text>', 'ask this, print the answer, and end')
    .option('--brain <provider[:model]>', 'the model of the coordinator', parseBrain)
    .addHelpText('after', '\nExample:\n  $ skein demo --once "how full is the disk on us-monitor?" --json')
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import('../demo/run-demo.ts');
      await runDemo(shell, options);
    });
}
