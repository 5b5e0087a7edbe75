// A program that runs one shell command as a tool does, to be killed in the middle of it: its arguments are the root folder
// and the command. What the command writes is written on.
import { createShellExec } from '../src/tools/shell-exec.ts';

const [root = '', command = ''] = process.argv.slice(2);
await createShellExec({ root, shell: true }).run(
  { command },
  { signal: new AbortController().signal, emit: async (delta) => void process.stdout.write(delta) },
);
