import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildDiskShim,
  type CrashState,
  crashStates,
  cutMoments,
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
import { faultsOf, openItems, writeItem } from '../../test/disk-life.ts';

const PROGRAM = join(import.meta.dirname, '../../test/disk-process.ts');
const LIVES = 5;
const CUTS = 50;
/** It takes seconds, on a machine that does nothing else. */
const TIMEOUT_MS = 120_000;
const missing = diskShimMissing();

describe.skipIf(missing !== null)(`a power cut${missing === null ? '' : ` (${missing})`}`, { timeout: TIMEOUT_MS }, () => {
  let directory = '';
  let shim = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'skein-power-'));
    shim = buildDiskShim(directory);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** One life on the disk as it lies in a folder; what it did to it. */
  function live(name: string) {
    const root = join(directory, name);
    const record = `${root}.record`;
    const image = readDiskImage(root);
    execFileSync(process.execPath, ['--conditions=skein-source', PROGRAM, join(root, 'a.db'), record], {
      env: { PATH: process.env.PATH, ...diskShimVariables({ shim, root, record }) },
    });
    return { root, image, events: readDiskRecord(record) };
  }

  test('is worked out from a record that, taken whole, is what lies on the disk', () => {
    mkdirSync(join(directory, 'whole'));
    const { root, image, events } = live('whole');
    const model = new DiskModel({ image, random: seeded(1) });
    for (const event of events) model.take(event);
    const now = model.now();
    expect([...now.keys()].sort()).toEqual(readdirSync(root).sort());
    for (const [name, content] of now) expect(content?.equals(readFileSync(join(root, name)))).toBe(true);
  });

  test('takes nothing that was acknowledged and damages nothing, at 250 moments of five lives, each after a cut', async () => {
    const random = seeded(2);
    let told = new Set<number>();
    let survivors = 0;
    mkdirSync(join(directory, 'life-0'));
    for (let life = 0; life < LIVES; life += 1) {
      const { image, events } = live(`life-${life}`);
      const cuts = cutMoments(events, { count: CUTS, random });
      const next = Math.floor(random() * CUTS);
      let number = 0;
      let keptOfNext = told;
      for (const state of crashStates(events, { image, cuts, random })) {
        const toldByThen = new Set([...told, ...state.told.map(Number)]);
        survivors += await survive(state, `cut-${life}-${number}`, toldByThen);
        if (number === next) {
          mkdirSync(join(directory, `life-${life + 1}`));
          writeCrashState(state, join(directory, `life-${life + 1}`));
          keptOfNext = toldByThen;
        }
        number += 1;
      }
      told = keptOfNext;
    }
    // Cuts that come before the first acknowledgement prove little.
    expect(survivors).toBeGreaterThan(LIVES * CUTS * 20);
    measured('power-cuts', { counts: { cuts: LIVES * CUTS, promisesKept: survivors } });
  });

  /** Opens what a cut left, holds it against what was told, and goes on writing; how many items had to be there. */
  async function survive(state: CrashState, name: string, told: ReadonlySet<number>): Promise<number> {
    const root = join(directory, name);
    mkdirSync(root);
    writeCrashState(state, root);
    const path = join(root, 'a.db');
    {
      await using database = openItems(path);
      expect(faultsOf(database, told), `cut after ${state.events} changes`).toEqual([]);
      await writeItem(database, 1_000_000);
    }
    {
      using again = openItems(path);
      expect(faultsOf(again, new Set([...told, 1_000_000])), `opened again after ${state.events}`).toEqual([]);
    }
    rmSync(root, { recursive: true });
    return told.size;
  }
});
