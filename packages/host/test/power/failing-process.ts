import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SkeinError } from '@skein/protocol';
import { diskFaultName, NO_DISK_FAULT, openDiskRecord, VirtualClock } from '@skein/testing';
import { type Act, NodeLife } from './node-life.ts';
import { type OpenedNode, openNode } from './opened-node.ts';
import { checkpointsOf, faultsOfFiles, faultsOfNode, type Told } from './told.ts';

/**
 * Run by the test of failing disks: the same life of a node's files over and over, each time with the fault some changes
 * later. Prints what came of each, and notes in the record of the disk what it told.
 */
const [root = '', record = '', trials = '', step = '', count = '', error = ''] = process.argv.slice(2);
const TRIES = 40;

const note = openDiskRecord(record);
for (let trial = 0; trial < Number(trials); trial += 1) {
  const skip = trial * Number(step);
  unlinkSync(diskFaultName({ skip, count: Number(count), error: error === 'ENOSPC' ? 'ENOSPC' : 'EIO' }));
  const outcome = await liveWith(join(root, String(trial)));
  note('end');
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

/** One life in which the fault strikes and is over: what was refused, and what is wrong afterwards. */
async function liveWith(directory: string) {
  const all: Told[] = [];
  const tell = (told: Told) => {
    all.push(told);
    note(JSON.stringify(told));
  };
  const refused: string[] = [];
  const faults: string[] = [];
  const attempt = async (act: Act) => {
    try {
      await act();
      return true;
    } catch (thrown) {
      refused.push(thrown instanceof SkeinError ? thrown.code : `not typed: ${String(thrown)}`);
      return false;
    }
  };
  const clock = new VirtualClock();
  {
    await using node = await openAtLast(directory, clock, attempt);
    tell({ type: 'key', id: node.files.identity.id });
    node.files.audit.onCheckpoint((text) => tell({ type: 'checkpoint', log: 'node', text }));
    await using life = await NodeLife.begin({ node, clock, tell });
    for (const group of life.groups()) await Promise.all(group.map(attempt));
    // Whatever the disk refuses to take, what is there is given out.
    faults.push(...faultsOfNode({ ...node, errors: [] }, all));
    unlinkSync(NO_DISK_FAULT);
    for (const group of life.groups()) {
      const taken = await Promise.all(group.map(attempt));
      if (taken.includes(false)) faults.push('something is refused though the disk is whole again');
    }
  }
  faults.push(...faultsOfFiles(directory, all));
  await using again = await openNode(directory, new VirtualClock(), checkpointsOf(all, 'fast'));
  return { refused, faults: [...faults, ...faultsOfNode(again, all)], told: all.length };
}

async function openAtLast(
  directory: string,
  clock: VirtualClock,
  attempt: (act: Act) => Promise<boolean>,
): Promise<OpenedNode> {
  let opened: OpenedNode | undefined;
  for (let left = TRIES; left > 0 && opened === undefined; left -= 1) {
    await attempt(async () => {
      opened = await openNode(directory, clock);
    });
  }
  if (opened !== undefined) return opened;
  // A disk that never takes anything again has no life to test.
  unlinkSync(NO_DISK_FAULT);
  return openNode(directory, clock);
}
