import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SkeinError } from '@skein/protocol';
import { findProgram, SYSTEM_PATH } from '../tools/find-program.ts';
import { permissionArguments } from './node-permissions.ts';
import type { Sandboxed } from './sandbox.ts';
import { heapArguments, isNode, limited, type SandboxPlan } from './sandbox-plan.ts';
import { startHeld } from './start-held.ts';

/** Ends it with this process, however that ends, and lets nothing it runs gain rights. */
const KEEP = ['--pdeathsig', 'KILL', '--no-new-privs', '--'];

/**
 * Starts JavaScript under Node's permission model.
 * @throws SkeinError `unsupported` for another program, where it may start processes and where it may reach only some
 * hosts, `unavailable` when it does not start.
 */
export async function startWithPermissions(plan: SandboxPlan): Promise<Sandboxed> {
  const { name, file, cwd, limits } = plan;
  if (!isNode(plan)) {
    throw new SkeinError(`${name} is held only by bubblewrap, which is missing here or does not work; skein doctor says why`, {
      code: 'unsupported',
    });
  }
  if (plan.childProcess) {
    throw new SkeinError(
      `${name} may start processes, which are held only by bubblewrap; it is missing here or does not work, and skein doctor says why`,
      { code: 'unsupported' },
    );
  }
  if (plan.network.type === 'hosts') {
    throw new SkeinError(
      `${name} may reach only some hosts, to which only bubblewrap can hold it; it is missing here or does not work, and skein doctor says why. Install it (apt-get install bubblewrap), or write true in place of the list to let it reach anywhere`,
      { code: 'unsupported' },
    );
  }
  const network = plan.network.type === 'anything';
  const args = [...heapArguments(plan), ...(await permissionArguments({ ...plan, network })), ...plan.args];
  const keeper = await findKeeper();
  const command = await limited(plan, keeper === undefined ? { file, args } : { file: keeper, args: [...KEEP, file, ...args] });
  return startHeld({ ...command, name, isolation: 'permissions', cwd: cwd ?? '/', env: plan.env, limits, tree: false });
}

/** setpriv of util-linux; that of busybox knows less. */
async function findKeeper(): Promise<string | undefined> {
  const setpriv = process.platform === 'linux' ? await findProgram('setpriv', SYSTEM_PATH) : undefined;
  const nothing = await findProgram('true', SYSTEM_PATH);
  if (setpriv === undefined || nothing === undefined) return undefined;
  const [code] = await once(spawn(setpriv, [...KEEP, nothing], { stdio: 'ignore' }), 'exit');
  return code === 0 ? setpriv : undefined;
}
