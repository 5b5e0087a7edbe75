import { createInterface } from 'node:readline/promises';
import type { Shell } from './shell.ts';

/** Asks for yes or no on the terminal; anything but yes is no. @throws SkeinError `canceled` at Ctrl-C. */
export async function askYesNo(shell: Shell, question: string): Promise<boolean> {
  const reader = createInterface({ input: shell.stdin, output: shell.stderr, terminal: true });
  // While it reads keys, the terminal makes no signal of Ctrl-C.
  reader.on('SIGINT', () => shell.interrupt());
  try {
    return isYes(await reader.question(`${question} [y/N] `, { signal: shell.signal }));
  } finally {
    reader.close();
  }
}

/** Whether an answer to a question means yes. */
export function isYes(answer: string): boolean {
  return /^\s*y(es)?\s*$/i.test(answer);
}
