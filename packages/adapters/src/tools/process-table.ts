import { readdir, readFile } from 'node:fs/promises';
import os from 'node:os';

/** A living process. */
export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** When it started, in clock ticks since the system did. */
  readonly started: number;
}

/** Ticks in a second as /proc counts them: USER_HZ, which is 100 (time(7)); more would only make `startedNow` earlier. */
const TICKS = 100;

/** The present as a `started`, a second early to be sure. */
export function startedNow(): number {
  return (os.uptime() - 1) * TICKS;
}

/** The system's processes. Many who ask at once share one look. */
export class ProcessTable {
  #looking: Promise<unknown> = Promise.resolve();
  #next: Promise<ProcessRow[] | undefined> | undefined;

  /** The living processes at some moment after the call; undefined where they cannot be looked up. */
  async list(): Promise<readonly ProcessRow[] | undefined> {
    this.#next ??= this.#lookNext();
    return this.#next;
  }

  async #lookNext(): Promise<ProcessRow[] | undefined> {
    await this.#looking;
    const rows = listProcesses();
    this.#looking = rows;
    this.#next = undefined;
    return rows;
  }
}

/** One living process; undefined where there is none of that number, or it cannot be looked up. */
export function findProcess(pid: number): Promise<ProcessRow | undefined> {
  return readRow(String(pid));
}

/** The `NAME=value` rows a process was started with; none where they cannot be read. */
export async function environmentOf(pid: number): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')).split('\0');
}

async function listProcesses(): Promise<ProcessRow[] | undefined> {
  if (process.platform !== 'linux') return undefined;
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name));
  // Without /proc there is not even this process.
  if (pids.length === 0) return undefined;
  return (await Promise.all(pids.map(readRow))).filter((row) => row !== undefined);
}

/** The fields of /proc/PID/stat after the name, which stands in parentheses and may hold anything (proc(5)). */
async function readRow(pid: string): Promise<ProcessRow | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parent, group] = fields;
  const started = fields[19];
  if (parent === undefined || group === undefined || started === undefined) return undefined;
  if (state === 'Z' || state === 'X') return undefined;
  return { pid: Number(pid), parent: Number(parent), group: Number(group), started: Number(started) };
}
