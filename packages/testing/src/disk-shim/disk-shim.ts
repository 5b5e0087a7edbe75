import { execFileSync, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';

const SOURCE = join(import.meta.dirname, 'disk-shim.c');

/** Null where the shim can be built; otherwise why its tests are left out. */
export function diskShimMissing(): string | null {
  if (process.platform !== 'linux') return 'needs Linux, to stand between a program and the C library';
  const { status } = spawnSync('gcc', ['-fsyntax-only', '-xc', '-'], { input: '#include <unistd.h>\n' });
  return status === 0 ? null : 'needs gcc: apt-get install -y gcc libc6-dev';
}

/** Builds the shim into a directory; its path. */
export function buildDiskShim(directory: string): string {
  const built = join(directory, 'disk-shim.so');
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-shared', '-fPIC', '-o', built, SOURCE, '-ldl', '-lpthread']);
  return built;
}

/**
 * The variables of a program whose changes under `root`, an absolute path without links, go into the record. Nothing the
 * program syncs is forced to the real disk.
 */
export function diskShimVariables(parts: { readonly shim: string; readonly root: string; readonly record: string }) {
  return { LD_PRELOAD: parts.shim, DISK_SHIM_ROOT: parts.root, DISK_SHIM_RECORD: parts.record };
}

/** Changes of the disk that fail. */
export interface DiskFault {
  /** How many changes pass before. */
  readonly skip: number;
  readonly count: number;
  /** `ENOSPC`: what was written first is taken in part, as by a disk that runs full. */
  readonly error: 'ENOSPC' | 'EIO';
}

/** The name that a program under the shim unlinks to have changes fail from now on. */
export function diskFaultName({ skip, count, error }: DiskFault): string {
  return `disk-shim:${skip}:${count}:${constants.errno[error]}`;
}

/** The same to end it. */
export const NO_DISK_FAULT = 'disk-shim:0:0:0';
