import { realpath } from 'node:fs/promises';
import { SkeinError } from '@skein/protocol';
import { findProgram, SYSTEM_PATH } from '../tools/find-program.ts';
import { bubblewrapArguments, FILTER_FD, GO_FD, INFO_FD } from './bubblewrap.ts';
import type { Sandboxed } from './sandbox.ts';
import { heapArguments, isNode, limited, type SandboxPlan } from './sandbox-plan.ts';
import { createSeccompFilter } from './seccomp.ts';
import { startHeld } from './start-held.ts';
import { createTaskGroup } from './task-group.ts';

const DEFAULT_CWD = '/tmp';
/** Node has about a dozen threads, most programs one. */
const TASKS_PER_PROCESS = 8;

/** Starts it by bubblewrap. @throws SkeinError `unsupported` where that cannot be, `unavailable` when it does not start. */
export async function startInNamespaces(plan: SandboxPlan): Promise<Sandboxed> {
  const { name, file, cwd = DEFAULT_CWD, childProcess, limits } = plan;
  const bubblewrap = process.platform === 'linux' ? await findProgram('bwrap', SYSTEM_PATH) : undefined;
  const filter = createSeccompFilter({ arch: process.arch, forks: childProcess });
  if (bubblewrap === undefined) {
    throw new SkeinError(`${name} cannot be held: there is no bubblewrap here (apt-get install bubblewrap)`, {
      code: 'unsupported',
    });
  }
  if (filter === undefined) {
    throw new SkeinError(`${name} cannot be held: there is no list of system calls for ${process.arch}`, {
      code: 'unsupported',
    });
  }
  const program = { named: file, real: await realpath(file) };
  const held = await bubblewrapArguments({ ...plan, read: [program, ...plan.read], cwd });
  const command = await limited(plan, {
    file: bubblewrap,
    args: [...held, '--', file, ...(isNode(plan) ? heapArguments(plan) : []), ...plan.args],
  });
  const group = childProcess ? await createTaskGroup(limits.maxProcesses * TASKS_PER_PROCESS) : undefined;
  const starting = startHeld({
    ...command,
    name,
    isolation: 'namespaces',
    cwd: '/',
    env: plan.env,
    limits,
    tree: childProcess,
    inner: { infoFd: INFO_FD, filterFd: FILTER_FD, filter, goFd: GO_FD, group },
  });
  starting.catch(() => group?.remove());
  return starting;
}
