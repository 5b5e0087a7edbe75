import type { MachineClock } from '@skein/agent';
import { systemBoot } from '@skein/mesh';

/** This machine's steady clock, which lives longer than a process; undefined where nothing names the boot. */
export function machineClock(): MachineClock | undefined {
  const boot = systemBoot();
  return boot === undefined ? undefined : { boot, steadyMs: () => Number(process.hrtime.bigint()) / 1e6 };
}
