import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { median } from './measure.ts';
import { measureHandshake, measureIdlePeer } from './sessions.ts';

/** A single figure beside the table of calls. */
export interface Figure {
  readonly title: string;
  readonly unit: 'ms' | 'KiB';
  /** What it should be at most. */
  readonly goal: number;
  /** Null when it cannot be measured here. */
  measure(): Promise<number | null>;
}

const SKEIN = fileURLToPath(new URL('../../packages/cli/bin/skein.mjs', import.meta.url));

const helpTime: Figure = {
  title: 'skein --help',
  unit: 'ms',
  goal: 200,
  async measure() {
    const times: number[] = [];
    // The first one fills the compile cache.
    for (let round = 0; round < 10; round += 1) {
      const startedMs = performance.now();
      const child = spawn(process.execPath, [SKEIN, '--help'], { stdio: 'ignore' });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error(`skein --help ended with ${code}`);
      if (round > 0) times.push(performance.now() - startedMs);
    }
    return median(times);
  },
};

const readyTime: Figure = {
  title: 'skein start to ready',
  unit: 'ms',
  goal: 500,
  async measure() {
    const folder = await mkdtemp(path.join(tmpdir(), 'skein-ready-'));
    const times: number[] = [];
    // The first one makes the key and fills the compile cache.
    for (let round = 0; round < 6; round += 1) {
      const startedMs = performance.now();
      const child = spawn(process.execPath, [SKEIN, '--dir', folder, 'start', '--json', '--port', '0'], {
        stdio: ['ignore', 'pipe', 'ignore'],
        env: { PATH: process.env.PATH },
      });
      const ended = once(child, 'exit');
      const [line] = await once(createInterface(child.stdout), 'line');
      if (JSON.parse(line).type !== 'ready') throw new Error(`skein start said ${line}`);
      if (round > 0) times.push(performance.now() - startedMs);
      child.kill('SIGTERM');
      await ended;
    }
    await rm(folder, { recursive: true });
    return median(times);
  },
};

const handshakeTime: Figure = { title: 'handshake, dial to session', unit: 'ms', goal: 10, measure: measureHandshake };
const idlePeer: Figure = { title: 'connected idle peer', unit: 'KiB', goal: 40, measure: measureIdlePeer };

/** Every single figure, in the order they are printed. */
export const FIGURES: readonly Figure[] = [handshakeTime, idlePeer, readyTime, helpTime];
