import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadOrCreateKeyFile } from '@skein/mesh';
import {
  buildDiskShim,
  type CrashState,
  crashStates,
  cutMoments,
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
import { keyPathIn, openNode } from './power/opened-node.ts';
import { checkpointsOf, faultsOfFiles, faultsOfNode, type Told, told } from './power/told.ts';

const PROGRAM = join(import.meta.dirname, 'power/power-process.ts');
const LIVES = 4;
const CUTS = 55;
const ROUNDS = 4;
/** It takes seconds, on a machine that does nothing else. */
const TIMEOUT_MS = 200_000;
const missing = diskShimMissing();

describe.skipIf(missing !== null)(
  `a node after a power cut${missing === null ? '' : ` (${missing})`}`,
  { timeout: TIMEOUT_MS },
  () => {
    let directory = '';
    let shim = '';
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'skein-power-'));
      shim = buildDiskShim(directory);
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    test('starts and has all that it told, at 220 moments of four lives, each after a cut', async () => {
      const random = seeded(4);
      let before: readonly Told[] = [];
      let promises = 0;
      mkdirSync(join(directory, 'life-0'));
      for (let life = 0; life < LIVES; life += 1) {
        const { image, events } = live(`life-${life}`, ROUNDS);
        const cuts = cutMoments(events, { count: CUTS, random });
        const next = Math.floor(random() * CUTS);
        let number = 0;
        let toldOfNext = before;
        for (const state of crashStates(events, { image, cuts, random })) {
          const all = [...before, ...state.told.map((text) => told.parse(JSON.parse(text)))];
          promises += all.length;
          await survive(state, `cut-${life}-${number}`, all);
          if (number === next) {
            mkdirSync(join(directory, `life-${life + 1}`));
            writeCrashState(state, join(directory, `life-${life + 1}`));
            toldOfNext = all;
          }
          number += 1;
        }
        before = toldOfNext;
      }
      // Cuts that come before the first promise prove little.
      expect(promises).toBeGreaterThan(LIVES * CUTS * 20);
      measured('power-cuts', { counts: { cuts: LIVES * CUTS, promisesKept: promises } });
    });

    test('has the key that it showed, at every moment of making one and of its rotation', () => {
      const random = seeded(6);
      mkdirSync(join(directory, 'key'));
      const { image, events } = live('key', 0);
      const cuts = Array.from({ length: events.length + 1 }, (_, event) => Array.from({ length: 8 }, () => event)).flat();
      expect(cuts.length).toBeGreaterThan(100);
      for (const state of crashStates(events, { image, cuts, random })) {
        const root = mkdtempSync(join(directory, 'cut-'));
        writeCrashState(state, root);
        const all = state.told.map((text) => told.parse(JSON.parse(text)));
        expect(faultsOfFiles(root, all), `cut after ${state.events} changes`).toEqual([]);
        // Whatever there is now, a node can begin or go on with it.
        loadOrCreateKeyFile(keyPathIn(root));
      }
      measured('power-cuts', { counts: { cuts: cuts.length } });
    });

    /** One life on the disk as it lies in a folder; what it did to it. */
    function live(name: string, rounds: number) {
      const root = join(directory, name);
      const record = `${root}.record`;
      const image = readDiskImage(root);
      execFileSync(process.execPath, ['--conditions=skein-source', PROGRAM, root, record, String(rounds)], {
        env: { PATH: process.env.PATH, ...diskShimVariables({ shim, root, record }) },
      });
      return { image, events: readDiskRecord(record) };
    }

    async function survive(state: CrashState, name: string, all: readonly Told[]): Promise<void> {
      const root = join(directory, name);
      mkdirSync(root);
      writeCrashState(state, root);
      const when = `cut after ${state.events} changes`;
      expect(faultsOfFiles(root, all), when).toEqual([]);
      {
        await using node = await openNode(root, new VirtualClock(), checkpointsOf(all, 'fast'));
        expect(faultsOfNode(node, all), when).toEqual([]);
      }
      rmSync(root, { recursive: true });
    }
  },
);
