import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SkeinError } from '@skein/protocol';
import { diskFaultName, NO_DISK_FAULT, openDiskRecord } from '@skein/testing';
import type { Database } from '../src/index.ts';
import { faultsOf, openItems, writeItem } from './disk-life.ts';

/**
 * Run by the test of failing disks: the same work over and over, each time with the fault one change later. Prints what
 * came of each, and notes in the record what it acknowledged.
 */
const [root = '', record = '', trials = '', count = '', error = 'EIO'] = process.argv.slice(2);
const GROUPS = 14;
const TRIES = 50;

const tell = openDiskRecord(record);
for (let trial = 0; trial < Number(trials); trial += 1) {
  const directory = join(root, String(trial));
  unlinkSync(diskFaultName({ skip: trial, count: Number(count), error: error === 'ENOSPC' ? 'ENOSPC' : 'EIO' }));
  const outcome = await liveWith(join(directory, 'a.db'), (id) => tell(`${trial} ${id}`));
  tell(`${trial} end`);
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

/** One life in which the fault strikes and is over: what was refused, and what is wrong afterwards. */
async function liveWith(path: string, acknowledge: (id: number) => void) {
  const refused: string[] = [];
  const told = new Set<number>();
  const outcomes = async (database: Database, ids: readonly number[]) => {
    const settled = await Promise.allSettled(ids.map((id) => writeItem(database, id)));
    for (const [index, outcome] of settled.entries()) {
      if (outcome.status === 'rejected') refused.push(codeOf(outcome.reason));
      else {
        told.add(ids[index] ?? 0);
        acknowledge(ids[index] ?? 0);
      }
    }
  };
  const database = openAtLast(path, refused);
  let id = 1;
  const faults: string[] = [];
  for (let group = 0; group < GROUPS; group += 1) {
    const ids = Array.from({ length: 1 + (group % 4) }, (_, index) => id + index);
    id += ids.length;
    await outcomes(database, ids);
    // Whatever the disk refuses to take, what is there is given out.
    faults.push(...faultsOf(database, told, { exact: true }));
  }
  unlinkSync(NO_DISK_FAULT);
  await outcomes(database, [id]);
  if (!told.has(id)) faults.push('nothing is taken though the disk is whole again');
  database.close();
  using again = openItems(path);
  return { refused, faults: [...faults, ...faultsOf(again, told, { exact: true })], told: told.size };
}

function openAtLast(path: string, refused: string[]): Database {
  for (let left = TRIES; left > 0; left -= 1) {
    try {
      return openItems(path);
    } catch (thrown) {
      refused.push(codeOf(thrown));
    }
  }
  // A disk that never takes anything again has no life to test.
  unlinkSync(NO_DISK_FAULT);
  return openItems(path);
}

function codeOf(thrown: unknown): string {
  return thrown instanceof SkeinError ? thrown.code : `not typed: ${String(thrown)}`;
}
