import { type Logger, pino } from 'pino';
import type { NodeConfig } from './config/load-config.ts';

/** The node's log: JSON lines to a file, or to the standard error stream. Never payloads, keys or message texts. */
export function createLog({ level, file }: NodeConfig['log']): Logger {
  return pino(
    { level, base: null },
    pino.destination(file === undefined ? { dest: 2, sync: true } : { dest: file, mkdir: true, mode: 0o600 }),
  );
}
