import { existsSync } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { SkeinError } from '@skein/protocol';
import { containsPath } from '../tools/jail.ts';

/** A granted path, as it was named and as it is with its links resolved. */
export interface GrantedPath {
  readonly named: string;
  readonly real: string;
}

/** The system's own, which shows other processes and devices; and all there is. */
const NEVER = ['/proc', '/sys', '/dev'];

/** @throws SkeinError `invalid` for a path that is not absolute or the system's own, `not-found` for one that does not exist. */
export async function resolveGrants(name: string, paths: readonly string[] = []): Promise<GrantedPath[]> {
  return Promise.all(
    paths.map(async (named) => {
      if (!isAbsolute(named))
        throw new SkeinError(`What ${name} may reach, ${named}, is no absolute path`, { code: 'invalid' });
      const real = await realpath(named).catch((error: unknown) => {
        throw new SkeinError(`What ${name} may reach, ${named}, does not exist; make it or take the grant away`, {
          code: 'not-found',
          cause: error,
        });
      });
      if (real === '/' || NEVER.some((path) => containsPath(path, real))) {
        throw new SkeinError(`What ${name} may reach, ${named}, is the system's own; name the folders it needs`, {
          code: 'invalid',
        });
      }
      return { named, real };
    }),
  );
}

/** Those that exist, as named and with links resolved, each once. */
export async function resolveHidden(paths: readonly string[] = []): Promise<string[]> {
  const found = await Promise.all(
    paths.filter((path) => existsSync(path)).map(async (path) => [path, await realpath(path).catch(() => path)]),
  );
  return [...new Set(found.flat())];
}

/** The paths that together hold what is in `path` and not hidden, for a holder that knows grants and no exceptions. */
export async function pathsExcept(path: string, hidden: readonly string[]): Promise<string[]> {
  if (hidden.some((one) => one === path)) return [];
  if (!hidden.some((one) => containsPath(path, one))) return [path];
  const names = await readdir(path);
  return (await Promise.all(names.map((name) => pathsExcept(join(path, name), hidden)))).flat();
}
