import { runSkein } from './run-skein.ts';
import { Shell } from './shell.ts';

// Set, not called: the process ends when nothing is left to do.
process.exitCode = await runSkein(process.argv.slice(2), new Shell(process));
