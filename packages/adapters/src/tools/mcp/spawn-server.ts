import { SkeinError } from '@skein/protocol';
import { spawnSandboxed } from '../../sandbox/spawn-sandboxed.ts';
import { findProgram, SYSTEM_PATH } from '../find-program.ts';
import type { ServerProgram } from './mcp.ts';
import type { PipedProcess } from './pipe-transport.ts';

/**
 * Starts a server in the strongest sandbox this machine has; `node` is the one that runs this.
 * @throws SkeinError `not-found` for a program that is not there, and what `spawnSandboxed` raises.
 */
export async function spawnServer({ name, command, cwd, env, allow, egress }: ServerProgram): Promise<PipedProcess> {
  const [program = '', ...args] = command;
  const file = program === 'node' ? process.execPath : await findProgram(program, SYSTEM_PATH);
  if (file === undefined) {
    throw new SkeinError(`There is no program ${program} for ${name}: install it, or give its absolute path`, {
      code: 'not-found',
    });
  }
  const { hidden, ...grants } = allow;
  return await spawnSandboxed({ name, file, args, env, grants, hidden, egress, ...(cwd === undefined ? {} : { cwd }) });
}
