import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { ShimClock } from './shim-clock.ts';

const SOURCE = join(import.meta.dirname, 'clock-shim.c');

/** Null where the shim can be built; otherwise why its tests are left out. */
export function clockShimMissing(): string | null {
  if (process.platform !== 'linux') return 'needs Linux, to stand between a program and the C library';
  const { status } = spawnSync('gcc', ['-fsyntax-only', '-xc', '-'], { input: '#include <unistd.h>\n' });
  return status === 0 ? null : 'needs gcc: apt-get install -y gcc libc6-dev';
}

/** Builds the shim into a directory; its path. */
export function buildClockShim(directory: string): string {
  const built = join(directory, 'clock-shim.so');
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-shared', '-fPIC', '-o', built, SOURCE, '-ldl']);
  return built;
}

/** The variables of a program that sees this clock in place of the machine's. */
export function clockShimVariables(parts: { readonly shim: string; readonly clock: ShimClock }) {
  return { LD_PRELOAD: parts.shim, CLOCK_SHIM_FILE: parts.clock.path };
}
