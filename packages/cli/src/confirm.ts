import { createInterface } from 'node:readline/promises';
import type { Shell } from './shell.ts';

/** Asks for yes or no on the terminal; anything but yes is no. */
export async function askYesNo(shell: Shell, question: string, { signal = shell.signal } = {}): Promise<boolean> {
  const reader = createInterface({ input: shell.stdin, output: shell.stderr, terminal: true });
  try {
    const interrupted = new AbortController();
    reader.on('SIGINT', () => interrupted.abort(new DOMException('Interrupted', 'AbortError')));
    const answer = await reader.question(`${question} [y/N] `, { signal: AbortSignal.any([signal, interrupted.signal]) });
    return isYes(answer);
  } finally {
    reader.close();
  }
}

/** Whether an answer to a question means yes. */
export function isYes(answer: string): boolean {
  return /^\s*y(es)?\s*$/i.test(answer);
}
