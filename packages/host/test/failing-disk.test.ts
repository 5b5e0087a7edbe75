import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildDiskShim,
  type DiskImage,
  DiskModel,
  diskShimMissing,
  diskShimVariables,
  measured,
  readDiskImage,
  readDiskRecord,
  seeded,
  VirtualClock,
  writeCrashState,
} from '@skein/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openNode } from './power/opened-node.ts';
import { checkpointsOf, faultsOfFiles, faultsOfNode, type Told, told } from './power/told.ts';

const PROGRAM = join(import.meta.dirname, 'power/failing-process.ts');
/** It takes seconds, on a machine that does nothing else. */
const TIMEOUT_MS = 200_000;
const missing = diskShimMissing();

interface Outcome {
  readonly refused: readonly string[];
  readonly faults: readonly string[];
  readonly told: number;
}

describe.skipIf(missing !== null)(
  `a node on a disk whose nth change fails${missing === null ? '' : ` (${missing})`}`,
  { timeout: TIMEOUT_MS },
  () => {
    let directory = '';
    let shim = '';
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'skein-failing-'));
      shim = buildDiskShim(directory);
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    test.each([
      // One life makes some three hundred changes.
      { error: 'EIO', count: 1, trials: 150, step: 2 },
      { error: 'ENOSPC', count: 100, trials: 50, step: 6 },
    ])('($error, $count times) refuses with a typed error, reads on, and works again', async (order) => {
      const { error, count, trials, step } = order;
      const root = join(directory, error);
      const record = `${root}.record`;
      for (let trial = 0; trial < trials; trial += 1) mkdirSync(join(root, String(trial)), { recursive: true });
      const image = readDiskImage(root);
      const args = ['--conditions=skein-source', PROGRAM, root, record, trials, step, count, error].map(String);
      const output = execFileSync(process.execPath, args, {
        env: { PATH: process.env.PATH, ...diskShimVariables({ shim, root, record }) },
        encoding: 'utf8',
      });
      const outcomes = output.split('\n').flatMap((line): Outcome[] => (line === '' ? [] : [JSON.parse(line)]));
      expect(outcomes).toHaveLength(trials);
      for (const [trial, { faults, refused, told }] of outcomes.entries()) {
        expect([trial, ...faults]).toEqual([trial]);
        expect(refused.filter((code) => code !== 'unavailable')).toEqual([]);
        expect(told).toBeGreaterThan(25);
      }
      expect(outcomes.filter(({ refused }) => refused.length > 0).length).toBeGreaterThan(trials / 4);
      expect(await lostByCuts(image, record)).toEqual([]);
      measured('disk', { counts: error === 'ENOSPC' ? { fullDiskWrites: trials } : { failedWrites: trials } });
    });

    /** What a power cut right after each life takes: what a failed sync did not write, no later one does. */
    async function lostByCuts(image: DiskImage, record: string): Promise<readonly string[]> {
      const model = new DiskModel({ image, random: seeded(5) });
      let all: Told[] = [];
      let trial = 0;
      const faults: string[] = [];
      for (const event of readDiskRecord(record)) {
        model.take(event);
        if (event.type !== 'told') continue;
        if (event.text !== 'end') {
          all.push(told.parse(JSON.parse(event.text)));
          continue;
        }
        const place = mkdtempSync(join(directory, 'cut-'));
        writeCrashState(model.cut(String(trial)), place);
        const root = join(place, String(trial));
        faults.push(...faultsOfFiles(root, all));
        {
          await using node = await openNode(root, new VirtualClock(), checkpointsOf(all, 'fast'));
          faults.push(...faultsOfNode(node, all).map((fault) => `${trial}: ${fault}`));
        }
        rmSync(place, { recursive: true });
        all = [];
        trial += 1;
      }
      return faults;
    }
  },
);
