import { createHash, randomUUID } from 'node:crypto';
import { closeSync, openSync, statSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { environmentOf, findProcess, type ProcessRow, ProcessTable } from './process-table.ts';

const MARK_NAME = 'SKEIN_RUN';
/** The file in a node's folder that says commands ran and nobody has looked since for what they left. */
const NOTE_FILE = 'commands-ran';
/** Looks for what a former life left: what is found may have started more meanwhile. */
const LOOKS = 3;

/** What a command's environment says of where it comes from. */
interface Mark {
  readonly owner: string;
  /** The process that started it: its number and, since numbers are given again, its start time. */
  readonly pid: number;
  readonly started: number;
}

/** `NAME=value` for the environment of one more command of the node whose folder that is. */
export async function createMark(folder: string): Promise<string> {
  const started = (await findProcess(process.pid))?.started ?? 0;
  return `${MARK_NAME}=${ownerOf(folder)}.${process.pid}.${started}.${randomUUID()}`;
}

/** What all marks of one node begin with while it is this process. */
export function markPrefix(mark: string): string {
  return mark.slice(0, mark.lastIndexOf('.') + 1);
}

/** Called before each command of the node whose folder that is: only then does its next life look for what was left. */
export function noteCommand(folder: string): void {
  try {
    closeSync(openSync(path.join(folder, NOTE_FILE), 'a', 0o600));
  } catch {
    // A full disk is no reason to run nothing; the keeper still ends what runs.
  }
}

/**
 * Ends, at once, the commands a former life of a node left behind: processes of this process's user that carry the mark of
 * the node whose folder that is, and whose starter is gone. Resolves to how many; none where no command was noted, and on
 * systems other than Linux.
 */
export async function endLeftCommands(folder: string): Promise<number> {
  const note = path.join(folder, NOTE_FILE);
  // Looking through all processes takes some 40 ms of a start.
  if (statSync(note, { throwIfNoEntry: false }) === undefined) return 0;
  const owner = ownerOf(folder);
  const ended = new Set<number>();
  for (let looks = 0; looks < LOOKS; looks += 1) {
    const { left, kept } = await findMarked(owner);
    if (left.length === 0) {
      // What cannot be taken away is looked for again at the next start.
      if (!kept) await rm(note, { force: true }).catch(() => undefined);
      break;
    }
    for (const row of left) if (await endOne(row)) ended.add(row.pid);
  }
  return ended.size;
}

/** The processes that carry the mark of a node: those whose starter is gone, and whether there are others. */
async function findMarked(owner: string): Promise<{ readonly left: readonly ProcessRow[]; readonly kept: boolean }> {
  const rows = (await new ProcessTable().list()) ?? [];
  const started = new Map(rows.map((row) => [row.pid, row.started]));
  const marks = await Promise.all(rows.map(({ pid }) => markOf(pid)));
  const isKept = ({ pid, started: at }: Mark) => started.get(pid) === at;
  return {
    left: rows.filter((_, at) => marks[at]?.owner === owner && !isKept(marks[at])),
    kept: marks.some((mark) => mark?.owner === owner && isKept(mark)),
  };
}

async function markOf(pid: number): Promise<Mark | undefined> {
  const row = (await environmentOf(pid)).find((entry) => entry.startsWith(`${MARK_NAME}=`));
  const [owner, starter, started] = row?.slice(MARK_NAME.length + 1).split('.') ?? [];
  if (owner === undefined || starter === undefined || started === undefined) return undefined;
  return { owner, pid: Number(starter), started: Number(started) };
}

async function endOne({ pid, started }: ProcessRow): Promise<boolean> {
  try {
    // Root reads the environments of all users.
    if ((await stat(`/proc/${pid}`)).uid !== process.geteuid?.()) return false;
    // Looked at again, since another may have its number by now.
    if ((await findProcess(pid))?.started !== started) return false;
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    // Ended meanwhile.
    return false;
  }
}

/** The same for each life of a node, and no other's: a path alone may stand for another folder in a container. */
function ownerOf(folder: string): string {
  const { dev = 0, ino = 0 } = statSync(folder, { throwIfNoEntry: false }) ?? {};
  return createHash('sha256').update(`${dev} ${ino} ${folder}`).digest('hex').slice(0, 16);
}
