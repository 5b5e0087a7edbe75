import { lstat, opendir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SkeinError } from '@skein/protocol';
import { containsPath } from '../tools/jail.ts';
import { type GrantedPath, pathsExcept } from './paths.ts';
import { programBeside } from './program-beside.ts';

/** Entries that are looked through for links that lead out. */
const MAX_ENTRIES = 50_000;

export interface PermissionsPlan {
  readonly name: string;
  readonly read: readonly GrantedPath[];
  readonly write: readonly GrantedPath[];
  readonly hidden: readonly string[];
  readonly network: boolean;
}

/**
 * What Node is told before the program's own arguments (nodejs.org/api/permissions.html).
 * @throws SkeinError `denied` for a link in a granted folder that leads elsewhere, which Node would follow.
 */
export async function permissionArguments(plan: PermissionsPlan): Promise<string[]> {
  const read = await visible([...plan.read, ...plan.write], plan.hidden);
  const write = await visible(plan.write, plan.hidden);
  const looked = { left: MAX_ENTRIES };
  for (const path of read) await assertNoWayOut(plan.name, path, read, looked);
  const program = programBeside(import.meta.url, 'permissions-guard');
  const guard = pathToFileURL(program);
  guard.searchParams.set('network', plan.network ? 'yes' : 'no');
  return [
    '--permission',
    ...[...read, program].map((path) => `--allow-fs-read=${path}`),
    ...write.map((path) => `--allow-fs-write=${path}`),
    `--import=${guard.href}`,
  ];
}

async function visible(granted: readonly GrantedPath[], hidden: readonly string[]): Promise<string[]> {
  const paths = granted.flatMap(({ named, real }) => [named, real]);
  return [...new Set((await Promise.all(paths.map((path) => pathsExcept(path, hidden)))).flat())];
}

async function assertNoWayOut(name: string, path: string, granted: readonly string[], looked: { left: number }): Promise<void> {
  const stats = await lstat(path);
  if (stats.isSymbolicLink()) {
    const target = await realpath(path).catch(() => undefined);
    if (target === undefined || granted.some((one) => containsPath(one, target))) return;
    throw new SkeinError(
      `${path}, which ${name} may read, is a link to ${target}, which it may not; grant that too, take the link away, or install bubblewrap, which does not follow it`,
      { code: 'denied' },
    );
  }
  if (!stats.isDirectory()) return;
  for await (const entry of await opendir(path)) {
    looked.left -= 1;
    if (looked.left < 0) {
      throw new SkeinError(
        `What ${name} may read holds more than ${MAX_ENTRIES} files and folders, too many to look for links that lead out; grant less, or install bubblewrap`,
        { code: 'too-large' },
      );
    }
    if (entry.isSymbolicLink() || entry.isDirectory()) await assertNoWayOut(name, join(path, entry.name), granted, looked);
  }
}
