import { isAbsolute } from 'node:path';
import { SkeinError } from '@skein/protocol';
import { SYSTEM_PATH } from '../tools/find-program.ts';
import { containsPath } from '../tools/jail.ts';
import { createLimiter } from '../tools/memory-limit.ts';
import { type HostGrant, parseHostGrant } from './egress/host-grant.ts';
import { type GrantedPath, resolveGrants, resolveHidden } from './paths.ts';
import { type EgressOptions, SANDBOX_LIMITS, type SandboxLimits, type SandboxOptions } from './sandbox.ts';

/** What is asked for, complete and with its links resolved. */
export interface SandboxPlan {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly read: readonly GrantedPath[];
  readonly write: readonly GrantedPath[];
  readonly hidden: readonly string[];
  readonly network: NetworkReach;
  readonly childProcess: boolean;
  readonly limits: SandboxLimits;
}

/** What a program may reach of the network. */
type NetworkReach =
  | { readonly type: 'nothing' }
  | { readonly type: 'anything' }
  | { readonly type: 'hosts'; readonly grants: readonly HostGrant[]; readonly options: EgressOptions };

/** Writable memory that V8 reserves for code it may compile, and of which it uses a little. */
const RESERVED_BYTES = 1_073_741_824;

/** @throws SkeinError `invalid` or `not-found` naming the path or host that is wrong. */
export async function planSandbox(options: SandboxOptions): Promise<SandboxPlan> {
  const { name, file, args, cwd, env = {}, grants = {} } = options;
  if (!isAbsolute(file)) throw new SkeinError(`The program of ${name}, ${file}, is no absolute path`, { code: 'invalid' });
  const [read, write, hidden] = await Promise.all([
    resolveGrants(name, grants.read),
    resolveGrants(name, grants.write),
    resolveHidden(options.hidden),
  ]);
  if (cwd !== undefined && ![...read, ...write].some((one) => containsPath(one.named, cwd) || containsPath(one.real, cwd))) {
    throw new SkeinError(`The folder ${name} is to run in, ${cwd}, is not among what it may read`, { code: 'invalid' });
  }
  const { childProcess = false } = grants;
  const network = networkReach(options);
  const limits = { ...SANDBOX_LIMITS, ...options.limits };
  return { name, file, args, cwd, env: completeEnvironment(env), read, write, hidden, network, childProcess, limits };
}

function networkReach({ grants: { network = false } = {}, egress = {} }: SandboxOptions): NetworkReach {
  if (network === true) return { type: 'anything' };
  if (network === false || network.length === 0) return { type: 'nothing' };
  return { type: 'hosts', grants: network.map(parseHostGrant), options: egress };
}

/** Whether a program is the one this process runs in. */
export function isNode(plan: SandboxPlan): boolean {
  return plan.file === process.execPath;
}

/** What Node is told of its memory, so that it ends by its own word before the kernel or a look from outside ends it. */
export function heapArguments({ limits }: SandboxPlan): string[] {
  return [`--max-old-space-size=${Math.floor((limits.memoryBytes * 0.75) / 1_048_576)}`];
}

/** A command line within the kernel's limits, as far as this system has them. */
export async function limited(
  plan: SandboxPlan,
  command: { readonly file: string; readonly args: readonly string[] },
): Promise<{ readonly file: string; readonly args: readonly string[] }> {
  const limit = await createLimiter(plan.limits.memoryBytes + RESERVED_BYTES, SYSTEM_PATH, 'data');
  return limit(command.file, command.args);
}

function completeEnvironment(env: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: SYSTEM_PATH.join(':'),
    HOME: '/tmp',
    LANG: 'C.UTF-8',
    TZ: Intl.DateTimeFormat().resolvedOptions().timeZone,
    ...env,
  };
}
