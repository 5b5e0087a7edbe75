import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Where programs are looked for, in order. */
export const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

/** The first executable file of that name in the folders; a name with a slash must be absolute and stands for itself. */
export async function findProgram(name: string, path: readonly string[]): Promise<string | undefined> {
  const candidates = name.includes('/') ? [name] : path.map((folder) => join(folder, name));
  for (const candidate of candidates) {
    if (candidate.startsWith('/') && (await isProgram(candidate))) return candidate;
  }
  return undefined;
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    // Not there or not executable: not a program for us.
    return false;
  }
}
