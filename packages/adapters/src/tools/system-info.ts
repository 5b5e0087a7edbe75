import { readFile, statfs } from 'node:fs/promises';
import os from 'node:os';
import { resolve } from 'node:path';
import { defineTool, type Tool } from '@skein/agent';
import { z } from 'zod';
import { systemInfoExamples } from './examples.ts';

export interface SystemInfoOptions {
  /** The disk it reports on is the one that holds this path. */
  readonly root: string;
}

/**
 * What the machine is and how loaded: `{ hostname, operatingSystem, platform, arch, uptimeSeconds, loadAverage1,
 * cpuCount, memory: { totalBytes, freeBytes, usedPercent }, disk: { path, totalBytes, freeBytes, usedPercent } }`.
 * Free is what can still be used: memory that caches would give up counts as free, disk kept for root does not.
 */
export function createSystemInfo({ root }: SystemInfoOptions): Tool {
  const path = resolve(root);
  return defineTool({
    name: 'system_info',
    description: 'Tells the host name, operating system, processors, load, uptime, memory and disk of this machine.',
    input: z.object({}),
    effect: 'read',
    examples: systemInfoExamples,
    async run() {
      const [memory, disk, operatingSystem] = await Promise.all([readMemory(), readDisk(path), readSystemName()]);
      return {
        hostname: os.hostname(),
        operatingSystem,
        platform: os.platform(),
        arch: os.arch(),
        uptimeSeconds: Math.round(os.uptime()),
        loadAverage1: Math.round((os.loadavg()[0] ?? 0) * 100) / 100,
        cpuCount: os.availableParallelism(),
        memory,
        disk,
      };
    },
  });
}

async function readMemory() {
  const totalBytes = os.totalmem();
  const freeBytes = (await readAvailableMemory()) ?? os.freemem();
  return { totalBytes, freeBytes, usedPercent: percent(totalBytes - freeBytes, totalBytes) };
}

/** MemAvailable of /proc/meminfo, in KiB there (proc(5)); undefined where there is none. */
async function readAvailableMemory(): Promise<number | undefined> {
  const text = await readFile('/proc/meminfo', 'latin1').catch(() => '');
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1_024;
}

async function readDisk(path: string) {
  const { bsize, blocks, bfree, bavail } = await statfs(path);
  const used = (blocks - bfree) * bsize;
  const freeBytes = bavail * bsize;
  // As df counts it: of what is used and what could be, not of the whole.
  return { path, totalBytes: blocks * bsize, freeBytes, usedPercent: percent(used, used + freeBytes) };
}

/** PRETTY_NAME of os-release(5) on Linux, else the system's own name and version. */
async function readSystemName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(text)?.[1] ?? `${os.type()} ${os.release()}`;
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 1_000) / 10;
}
