import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { containsPath } from '../tools/jail.ts';
import type { GrantedPath } from './paths.ts';

/** Programs and libraries, and what they look up by a fixed name; nothing of a user, and no secret. */
const SYSTEM = [
  ...['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/gnu/store'],
  ...['/etc/alternatives', '/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/localtime', '/etc/mime.types'],
];
/** Names of the network. */
const NAMES = ['/etc/resolv.conf', '/etc/hosts', '/etc/host.conf', '/etc/nsswitch.conf', '/etc/services', '/etc/gai.conf'];
/** Whom programs trust there. */
const TRUST = ['/etc/ssl', '/etc/pki', '/etc/ca-certificates', '/etc/crypto-policies'];
/** What is shown for each reach; behind a proxy there are no names to look up. */
const NETWORK = { nothing: [], hosts: TRUST, anything: [...NAMES, ...TRUST] } as const;
/** What of the kernel's can be set or tells of the machine; root could write these, also as root of a namespace alone. */
const KERNEL_SETTINGS = [
  '/proc/sys',
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/acpi',
  '/proc/scsi',
  '/proc/driver',
  '/proc/tty',
  '/proc/pressure',
];
const KERNEL_FILES = [
  ...['/proc/sysrq-trigger', '/proc/mtrr', '/proc/kcore', '/proc/kmsg', '/proc/keys', '/proc/key-users', '/proc/kallsyms'],
  ...['/proc/timer_list', '/proc/sched_debug', '/proc/latency_stats', '/proc/config.gz', '/proc/slabinfo'],
  ...['/proc/kpagecgroup', '/proc/kpagecount', '/proc/kpageflags', '/proc/pagetypeinfo', '/proc/vmallocinfo'],
];
/** Of each of the folders in memory that it may write. */
const SCRATCH_BYTES = 67_108_864;

export interface BubblewrapPlan {
  readonly read: readonly GrantedPath[];
  readonly write: readonly GrantedPath[];
  /** Existing paths that are covered wherever a grant would show them. */
  readonly hidden: readonly string[];
  readonly network: keyof typeof NETWORK;
  readonly childProcess: boolean;
  readonly cwd: string;
}

/** File descriptors that bubblewrap is started with. */
export const INFO_FD = 3;
export const FILTER_FD = 4;
export const GO_FD = 5;

/** What bubblewrap is told before the program and its arguments (bwrap(1)). */
export async function bubblewrapArguments(plan: BubblewrapPlan): Promise<string[]> {
  const { network, childProcess, cwd } = plan;
  const scratch = (path: string) => ['--size', String(SCRATCH_BYTES), '--tmpfs', path];
  return [
    ...['--unshare-all', '--unshare-user', '--disable-userns', ...(network === 'anything' ? ['--share-net'] : [])],
    // Root would otherwise keep every right over what its new namespaces own.
    ...['--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    // Alone it needs nobody to collect the processes it leaves, and is found by the one number that is told.
    ...(childProcess ? [] : ['--as-pid-1']),
    ...['--info-fd', String(INFO_FD), '--seccomp', String(FILTER_FD), '--block-fd', String(GO_FD)],
    ...[...SYSTEM, ...NETWORK[network]].flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--proc', '/proc', ...coverKernel(), '--dev', '/dev', ...scratch('/dev/shm'), ...scratch('/tmp')],
    ...(await mounts(plan)),
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', cwd],
  ];
}

/** Only what this kernel has: there is no making it. */
function coverKernel(): string[] {
  return [
    ...KERNEL_SETTINGS.filter(existsSync).flatMap((path) => ['--ro-bind', path, path]),
    ...KERNEL_FILES.filter(existsSync).flatMap((path) => ['--ro-bind', '/dev/null', path]),
  ];
}

interface Mount {
  readonly path: string;
  readonly rank: 0 | 1 | 2;
  readonly args: readonly string[];
}

/** Outer before inner, so that each covers what is around it; what is hidden after what is granted under the same name. */
async function mounts({ read, write, hidden }: BubblewrapPlan): Promise<string[]> {
  const granted = [
    ...read.filter(({ real }) => !isInside(SYSTEM, real)).map(({ real }) => bind(0, '--ro-bind', real)),
    ...write.map(({ real }) => bind(1, '--bind', real)),
  ];
  const shown = [...SYSTEM, ...granted.map(({ path }) => path)];
  const rows: Mount[] = [...granted];
  const closing: string[] = [];
  for (const { named, real } of [...read, ...write]) {
    // A link is there already where the folder it is in is shown.
    if (named !== real && !isInside(shown, named)) rows.push({ path: named, rank: 0, args: ['--symlink', real, named] });
  }
  for (const path of hidden) {
    if (!granted.some((row) => containsPath(row.path, path))) continue;
    const isFolder = (await lstat(path)).isDirectory();
    rows.push({ path, rank: 2, args: isFolder ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path] });
    // Last, since something inside may be granted, for which a place is made in it.
    if (isFolder) closing.push('--remount-ro', path);
  }
  const once = new Map(rows.map((row) => [row.args.join('\0'), row]));
  const ordered = [...once.values()].sort((a, b) => depth(a.path) - depth(b.path) || a.rank - b.rank);
  return [...ordered.flatMap(({ args }) => args), ...closing];
}

function bind(rank: 0 | 1, option: string, path: string): Mount {
  return { path, rank, args: [option, path, path] };
}

function isInside(folders: readonly string[], path: string): boolean {
  return folders.some((folder) => containsPath(folder, path));
}

function depth(path: string): number {
  return path === '/' ? 0 : path.split('/').length;
}
