import { readFile } from 'node:fs/promises';
import { findProgram, SYSTEM_PATH } from './find-program.ts';

/** How a program is started so that its limits hold. */
export type Limiter = (file: string, args: readonly string[]) => Promise<{ file: string; args: readonly string[] }>;

/** Processes a command may add to those the system already runs; the system counts all threads of the user. */
const MORE_PROCESSES = 256;

/**
 * The program that holds the memory bound: the path of `prlimit`, or undefined where commands run without that bound
 * (systems other than Linux, and Linux without util-linux).
 */
export async function findMemoryLimiter(path: readonly string[] = SYSTEM_PATH): Promise<string | undefined> {
  return process.platform === 'linux' ? findProgram('prlimit', path) : undefined;
}

/** What is counted: all addresses a process has, or (`data`) those it can write, which leaves out what is only reserved. */
export type CountedMemory = 'as' | 'data';

const LIMIT_NAMES: Readonly<Record<CountedMemory, string>> = { as: 'Max address space', data: 'Max data size' };

/**
 * Bounds each process of a command to so much memory, its user to some more processes than run now (which the system
 * does not hold against root), and core dumps to none. Without `prlimit` it changes nothing.
 */
export async function createLimiter(
  memoryBytes: number,
  path: readonly string[],
  counted: CountedMemory = 'as',
): Promise<Limiter> {
  const prlimit = await findMemoryLimiter(path);
  if (prlimit === undefined) return async (file, args) => ({ file, args });
  // A limit above the hard one of this process would need a privilege.
  const hard = await readFile('/proc/self/limits', 'latin1');
  const memory = Math.min(memoryBytes, hardLimit(hard, LIMIT_NAMES[counted]));
  const processes = hardLimit(hard, 'Max processes');
  return async (file, args) => {
    const nproc = Math.min((await countThreads()) + MORE_PROCESSES, processes);
    return { file: prlimit, args: [`--${counted}=${memory}`, `--nproc=${nproc}`, '--core=0', '--', file, ...args] };
  };
}

/** A row of /proc/PID/limits: name, soft limit, hard limit, unit, in columns (proc(5)). */
function hardLimit(limits: string, name: string): number {
  const row = limits.split('\n').find((line) => line.startsWith(name));
  const hard = row?.slice(name.length).trim().split(/\s+/)[1];
  return hard === undefined || hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard);
}

/** All threads the system has: the second number of /proc/loadavg's fourth field (proc(5)). */
async function countThreads(): Promise<number> {
  const total = /\/(\d+) /.exec(await readFile('/proc/loadavg', 'latin1'))?.[1];
  return Number(total ?? 4_096);
}
