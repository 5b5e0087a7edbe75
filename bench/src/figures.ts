import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atMost, type Figure } from './figure.ts';
import { memorySpread } from './figures/memory.ts';
import { networks } from './figures/networks.ts';
import { durableTasks } from './figures/tasks.ts';
import { median } from './measure.ts';
import { measureHandshake, measureIdlePeer } from './sessions.ts';

const SKEIN = fileURLToPath(new URL('../../packages/cli/bin/skein.mjs', import.meta.url));

const helpTime = single({
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
});

const readyTime = single({
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
});

const handshakeTime = single({ title: 'handshake, dial to session', unit: 'ms', goal: 10, measure: measureHandshake });
const idlePeer = single({ title: 'connected idle peer', unit: 'KiB', goal: 40, measure: measureIdlePeer });

/** Every figure beside the table of calls, in the order they are printed. */
export const FIGURES: readonly Figure[] = [handshakeTime, idlePeer, readyTime, helpTime, durableTasks, memorySpread, networks];

/** One number that takes as long at any pace. */
function single(parts: {
  readonly title: string;
  readonly unit: 'ms' | 'KiB';
  /** What it should be at most. */
  readonly goal: number;
  measure(): Promise<number>;
}): Figure {
  const { title, unit, goal, measure } = parts;
  return { title, measure: async () => [atMost(title, unit, goal, await measure())] };
}
