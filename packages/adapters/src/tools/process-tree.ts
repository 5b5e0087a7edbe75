import { setTimeout as wait } from 'node:timers/promises';
import { environmentOf, type ProcessRow, type ProcessTable } from './process-table.ts';

/** A started command: the leader of its own process group. */
export interface ProcessTree {
  readonly pid: number;
  /** `NAME=value` in the environment of the command and of what it starts; finds those that left the group. */
  readonly mark: string;
  /** A start time, as `ProcessRow` has it, that none of its processes is older than. */
  readonly since: number;
}

/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 1_000;
const POLL_MS = 10;
const POLL_MAX_MS = 160;
/** After SIGKILL only a process stuck in the kernel remains; then we stop waiting for it. */
const KILL_WAIT_MS = 2_000;

/** Whether the command's process group has a member that is not the unreaped rest of one. */
export function groupIsAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    // ESRCH: nobody is left. EPERM: macOS says so of a group of ended processes.
    return false;
  }
}

/**
 * Ends a command with everything it started: SIGTERM, then SIGKILL to what is left after a second. On Linux that
 * includes what left the process group, found by parentage and by the mark; what has cleared its environment and whose
 * parent had ended before is out of reach. Elsewhere the group is all there is.
 */
export async function endProcessTree(tree: ProcessTree, table: ProcessTable): Promise<void> {
  const search: Search = { tree, table, known: new Map() };
  // Looked up before the first signal: once a parent has ended, its children are no longer known by it.
  if ((await findMembers(search)).length === 0) return;
  if (await signalUntilGone(search, 'SIGTERM', GRACE_MS)) return;
  await signalUntilGone(search, 'SIGKILL', KILL_WAIT_MS);
}

interface Search {
  readonly tree: ProcessTree;
  readonly table: ProcessTable;
  /** Start times of the members found so far, by pid: a pid that was given to another process since has another. */
  readonly known: Map<number, number>;
}

async function signalUntilGone(search: Search, signal: 'SIGTERM' | 'SIGKILL', forMs: number): Promise<boolean> {
  const endAt = performance.now() + forMs;
  const signaled = new Set<number>();
  sendSignal(-search.tree.pid, signal);
  for (let pollMs = POLL_MS; ; pollMs = Math.min(pollMs * 2, POLL_MAX_MS)) {
    const left = await findMembers(search);
    if (left.length === 0) return true;
    for (const pid of left) {
      // Once each, so that a handler runs once; what appears meanwhile gets its own.
      if (!signaled.has(pid)) sendSignal(pid, signal);
      signaled.add(pid);
    }
    if (performance.now() >= endAt) return false;
    await wait(pollMs);
  }
}

function sendSignal(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Ended meanwhile, or runs as another user: neither is ours to end.
  }
}

/** The living processes of the tree; minus the group's id where processes cannot be looked up. */
async function findMembers({ tree, table, known }: Search): Promise<number[]> {
  const rows = await table.list();
  if (rows === undefined) return groupIsAlive(tree.pid) ? [-tree.pid] : [];
  const members = new Set<number>([tree.pid]);
  for (const { pid, started } of rows) if (known.get(pid) === started) members.add(pid);
  // Parents may stand after their children in the list, so go over it until nothing is added.
  for (let size = 0; size !== members.size; ) {
    size = members.size;
    for (const { pid, parent, group } of rows) {
      if (group === tree.pid || members.has(parent)) members.add(pid);
    }
  }
  await Promise.all(
    rows.filter(({ pid, started }) => started >= tree.since && !members.has(pid)).map((row) => addIfMarked(row, tree, members)),
  );
  const found = rows.filter(({ pid }) => members.has(pid));
  for (const { pid, started } of found) known.set(pid, started);
  return found.map(({ pid }) => pid);
}

async function addIfMarked({ pid }: ProcessRow, { mark }: ProcessTree, members: Set<number>): Promise<void> {
  if ((await environmentOf(pid)).includes(mark)) members.add(pid);
}
