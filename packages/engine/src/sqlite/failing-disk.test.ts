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
  writeCrashState,
} from '@skein/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { faultsOf, openItems } from '../../test/disk-life.ts';

const PROGRAM = join(import.meta.dirname, '../../test/failing-process.ts');
const TRIALS = 200;
/** It takes seconds, on a machine that does nothing else. */
const TIMEOUT_MS = 120_000;
const missing = diskShimMissing();

interface Outcome {
  readonly refused: readonly string[];
  readonly faults: readonly string[];
  readonly told: number;
}

describe.skipIf(missing !== null)(
  `a disk whose nth change fails${missing === null ? '' : ` (${missing})`}`,
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
      ['EIO', 1],
      ['EIO', 30],
      ['ENOSPC', 2],
      ['ENOSPC', 100_000],
    ])('(%s, %i times) refuses with a typed error, reads on, and takes writes again, for each of 200 n', (error, count) => {
      const root = join(directory, `${error}-${count}`);
      const record = `${root}.record`;
      for (let trial = 0; trial < TRIALS; trial += 1) mkdirSync(join(root, String(trial)), { recursive: true });
      const image = readDiskImage(root);
      const args = ['--conditions=skein-source', PROGRAM, root, record, String(TRIALS), String(count), error];
      const output = execFileSync(process.execPath, args, {
        env: { PATH: process.env.PATH, ...diskShimVariables({ shim, root, record }) },
        encoding: 'utf8',
      });
      const outcomes = output.split('\n').flatMap((line): Outcome[] => (line === '' ? [] : [JSON.parse(line)]));
      expect(outcomes).toHaveLength(TRIALS);
      for (const [trial, { faults, refused, told }] of outcomes.entries()) {
        expect([trial, ...faults]).toEqual([trial]);
        expect(refused.filter((code) => code !== 'unavailable')).toEqual([]);
        expect(told).toBeGreaterThan(0);
      }
      // The others struck where nobody waits, or one write of several that was tried again by itself.
      expect(outcomes.filter(({ refused }) => refused.length > 0).length).toBeGreaterThan(TRIALS / 4);
      expect(lostByCuts(image, record)).toEqual([]);
      measured('disk', { counts: error === 'ENOSPC' ? { fullDiskWrites: TRIALS } : { failedWrites: TRIALS } });
    });

    /** What a power cut right after each life takes: what a failed sync did not write, no later one does. */
    function lostByCuts(image: DiskImage, record: string): readonly string[] {
      const random = seeded(3);
      const model = new DiskModel({ image, random });
      const told = new Set<number>();
      const faults: string[] = [];
      for (const event of readDiskRecord(record)) {
        model.take(event);
        if (event.type !== 'told') continue;
        const [trial = '', id = ''] = event.text.split(' ');
        if (id !== 'end') {
          told.add(Number(id));
          continue;
        }
        const place = mkdtempSync(join(directory, 'cut-'));
        writeCrashState(model.cut(trial), place);
        {
          using database = openItems(join(place, trial, 'a.db'));
          faults.push(...faultsOf(database, told).map((fault) => `${trial}: ${fault}`));
        }
        rmSync(place, { recursive: true });
        told.clear();
      }
      return faults;
    }
  },
);
