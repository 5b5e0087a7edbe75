import { readFile } from 'node:fs/promises';
import { ProcessTable } from '../tools/process-table.ts';
import type { SandboxEndReason } from './sandbox.ts';

export interface UsageWatch {
  readonly pid: number;
  readonly memoryBytes: number;
  readonly maxProcesses: number;
  /** Whether it may have processes below it; looking for them takes longer. */
  readonly tree: boolean;
  readonly onExcess: (reason: SandboxEndReason) => void;
}

const LOOK_MS = 250;

/**
 * Looks again and again at what a process and those below it hold, where the system tells (Linux), until it is disposed.
 * The kernel's own limits count each process by itself, and none of root's.
 */
export function watchUsage(watch: UsageWatch): Disposable {
  const table = watch.tree ? new ProcessTable() : undefined;
  let looking = false;
  const look = async () => {
    const pids = table === undefined ? [watch.pid] : await findTree(table, watch.pid);
    if (pids.length > watch.maxProcesses) watch.onExcess('processes');
    const held = await Promise.all(pids.map(residentBytes));
    if (held.reduce((sum, bytes) => sum + bytes, 0) > watch.memoryBytes) watch.onExcess('memory');
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    // It does not reject: what cannot be read counts as nothing.
    void look().then(() => {
      looking = false;
    });
  }, LOOK_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** In a process namespace all that it started is below its first process, also what lost its parent. */
async function findTree(table: ProcessTable, pid: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const row of (await table.list()) ?? []) {
    const siblings = children.get(row.parent);
    if (siblings === undefined) children.set(row.parent, [row.pid]);
    else siblings.push(row.pid);
  }
  const found = [pid];
  for (let at = 0; at < found.length; at += 1) found.push(...(children.get(found[at] ?? -1) ?? []));
  return found;
}

/** `VmRSS: 12345 kB` (proc(5)); 0 for a process that has ended and where there is no /proc. */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024;
}
