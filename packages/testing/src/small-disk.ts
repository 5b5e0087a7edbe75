import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system in memory with little room, mounted on a directory; disposing takes it away. */
export interface SmallDisk extends Disposable {
  /** Leaves no room at all. */
  fill(): void;
  /** Gives the room back. */
  free(): void;
}

/** Null where a small disk can be mounted; otherwise why its tests are left out. */
export function smallDiskMissing(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux, to mount a tmpfs';
  const directory = mkdtempSync(join(tmpdir(), 'skein-disk-probe-'));
  try {
    if (spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]).status !== 0) return 'this container may not mount a tmpfs';
    execFileSync('umount', [directory]);
    return null;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Mounts a small disk on an existing directory, over what is in it. */
export function mountSmallDisk(directory: string, bytes: number): SmallDisk {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', directory]);
  const ballast = join(directory, 'ballast');
  return {
    fill() {
      try {
        writeFileSync(ballast, Buffer.alloc(bytes));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      }
    },
    free: () => rmSync(ballast, { force: true }),
    // Lazily: whoever still has a file of it open must not keep the mount point busy.
    [Symbol.dispose]: () => void execFileSync('umount', ['-l', directory]),
  };
}
