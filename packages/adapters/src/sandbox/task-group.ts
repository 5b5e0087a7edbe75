import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** A group of processes of which the kernel allows only so many (cgroups(7)). */
export interface TaskGroup {
  /** Takes a process in, and with it all that it starts from then on. */
  add(pid: number): Promise<void>;
  /** Once all of its processes have ended. Never rejects. */
  remove(): Promise<void>;
}

/** Where groups that count tasks are made: of version 2 where it is all there is, of version 1 beside others. */
const FOLDERS = ['/sys/fs/cgroup', '/sys/fs/cgroup/pids'];
const REMOVE_TRIES = 20;
const REMOVE_PAUSE_MS = 50;

/**
 * A group for so many tasks, which are processes and their threads; undefined where this process may make none. Needed for
 * root alone, whom no other limit of the kernel holds (setrlimit(2), RLIMIT_NPROC).
 */
export async function createTaskGroup(maxTasks: number): Promise<TaskGroup | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  for (const parent of FOLDERS) {
    if (!(await countsTasks(parent))) continue;
    const folder = join(parent, `skein-${randomUUID()}`);
    try {
      await mkdir(folder);
      await writeFile(join(folder, 'pids.max'), String(maxTasks));
      return new CgroupTasks(folder);
    } catch {
      // It is not for this process to make one here, as in most containers; or what was made counts nothing.
      await rmdir(folder).catch(() => undefined);
    }
  }
  return undefined;
}

class CgroupTasks implements TaskGroup {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async add(pid: number): Promise<void> {
    await writeFile(join(this.#folder, 'cgroup.procs'), String(pid));
  }

  async remove(): Promise<void> {
    for (let tries = 0; tries < REMOVE_TRIES; tries += 1) {
      try {
        await rmdir(this.#folder);
        return;
      } catch {
        // A process that was just ended is counted for a moment longer.
        await wait(REMOVE_PAUSE_MS);
      }
    }
  }
}

async function countsTasks(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK);
    if (folder.endsWith('/pids')) return true;
    return (await readFile(join(folder, 'cgroup.subtree_control'), 'latin1')).split(/\s+/).includes('pids');
  } catch {
    // No such version here.
    return false;
  }
}
