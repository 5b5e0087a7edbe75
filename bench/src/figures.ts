import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { median } from './measure.ts';

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
const MAIN = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

const helpTime: Figure = {
  title: 'skein --help',
  unit: 'ms',
  goal: 200,
  async measure() {
    if (!existsSync(MAIN)) return null;
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

/** Every single figure, in the order they are printed. */
export const FIGURES: readonly Figure[] = [helpTime];
