import { readFileSync } from 'node:fs';
import type { MachineClock } from '@skein/agent';

/** Linux only: random for each boot (random(4)). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** This machine's steady clock, which lives longer than a process; undefined where nothing names the boot. */
export function machineClock(): MachineClock | undefined {
  let boot: string;
  try {
    boot = readFileSync(BOOT_ID, 'utf8').trim();
  } catch {
    return undefined; // Another system: there the wall clock alone tells how long the process was away.
  }
  return { boot, steadyMs: () => Number(process.hrtime.bigint()) / 1e6 };
}
