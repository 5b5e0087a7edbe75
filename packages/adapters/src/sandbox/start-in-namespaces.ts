import { realpath } from 'node:fs/promises';
import { SkeinError } from '@skein/protocol';
import { findProgram, SYSTEM_PATH } from '../tools/find-program.ts';
import { bubblewrapArguments, FILTER_FD, GO_FD, INFO_FD } from './bubblewrap.ts';
import { EgressProxy } from './egress/egress-proxy.ts';
import { type BehindProxy, FORERUNNER, FORERUNNER_COMMAND, proxyEnvironment } from './egress/hand-over.ts';
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
  const program = { file, args: [...(isNode(plan) ? heapArguments(plan) : []), ...plan.args], env: plan.env };
  const behind = behindProxy(plan, program);
  const files = behind === undefined ? [file] : [file, process.execPath, FORERUNNER];
  const programs = await Promise.all(files.map(async (named) => ({ named, real: await realpath(named) })));
  const read = [...programs, ...plan.read];
  const held = await bubblewrapArguments({ ...plan, network: plan.network.type, read, cwd });
  const first = behind === undefined ? [file, ...program.args] : FORERUNNER_COMMAND;
  const command = await limited(plan, { file: bubblewrap, args: [...held, '--', ...first] });
  const group = childProcess ? await createTaskGroup(limits.maxProcesses * TASKS_PER_PROCESS) : undefined;
  const starting = startHeld({
    ...command,
    name,
    isolation: 'namespaces',
    cwd: '/',
    // What it becomes is told its environment by itself, so that nothing in that changes what comes before.
    env: behind === undefined ? plan.env : {},
    limits,
    tree: childProcess,
    ...(behind === undefined ? {} : { behind }),
    inner: { infoFd: INFO_FD, filterFd: FILTER_FD, filter, goFd: GO_FD, group },
  });
  starting.catch(() => group?.remove());
  return starting;
}

/** The proxy for a program that may reach some hosts; undefined for one that needs none. */
function behindProxy({ name, network }: SandboxPlan, { file, args, env }: Omit<BehindProxy, 'proxy'>): BehindProxy | undefined {
  if (network.type !== 'hosts') return undefined;
  const { listedIn = `allow.network of ${name}`, onRefused = () => undefined, resolveHost } = network.options;
  const proxy = new EgressProxy({
    grants: network.grants,
    listedIn,
    onRefused,
    ...(resolveHost === undefined ? {} : { resolveHost }),
  });
  return { proxy, file, args, env: { ...env, ...proxyEnvironment() } };
}
