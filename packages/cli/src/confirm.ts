import { createInterface, type Interface } from 'node:readline/promises';
import type { Shell } from './shell.ts';

/** Asks for yes or no on the terminal; anything but yes is no. @throws SkeinError `canceled` at Ctrl-C. */
export async function askYesNo(shell: Shell, question: string): Promise<boolean> {
  const reader = createInterface({ input: shell.stdin, output: shell.stderr, terminal: true });
  // While it reads keys, the terminal makes no signal of Ctrl-C.
  reader.on('SIGINT', () => shell.interrupt());
  try {
    return isYes(await askLine(reader, `${question} [y/N] `, { signal: shell.signal }));
  } finally {
    reader.close();
  }
}

/** The line that is typed in answer; empty when the input ends instead, of which readline tells nobody who waits. */
export async function askLine(
  reader: Interface,
  question: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<string> {
  const ended = Promise.withResolvers<string>();
  const end = () => ended.resolve('');
  reader.once('close', end);
  try {
    return await Promise.race([reader.question(question, { signal }), ended.promise]);
  } finally {
    reader.off('close', end);
  }
}

/** Whether an answer to a question means yes. */
export function isYes(answer: string): boolean {
  return /^\s*y(es)?\s*$/i.test(answer);
}
