import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { SkeinError } from '@skein/protocol';

export interface JailOptions {
  /** The folder tools may use. */
  readonly root: string;
  /** Files and folders no tool may touch, wherever they are: the node's keys, data and configuration. */
  readonly hidden?: readonly string[];
}

/** A path that was found to be inside the root and not hidden. */
export interface Located {
  /** Absolute, with every link resolved as far as the path exists. */
  readonly real: string;
  /** The same, relative to the root; `.` for the root itself. */
  readonly relative: string;
  readonly exists: boolean;
}

/** Another process's environment and memory are read through here, this node's too. */
const ALWAYS_HIDDEN = ['/proc'];
const MAX_PATH_LENGTH = 4_096;

/** True when `child` is `parent` or below it, by path segments: /w/proj-x is not in /w/proj. */
export function containsPath(parent: string, child: string): boolean {
  return child === parent || child.startsWith(parent.endsWith(sep) ? parent : parent + sep);
}

/**
 * The folder tools are held in, after every link is resolved. Nothing is remembered between calls, so a root or hidden
 * path that appears or moves later is seen.
 */
export class Jail {
  readonly #root: string;
  readonly #hidden: readonly string[];

  constructor({ root, hidden = [] }: JailOptions) {
    this.#root = resolve(root);
    this.#hidden = [...ALWAYS_HIDDEN, ...hidden.map((path) => resolve(path))];
  }

  /**
   * The root with its links resolved.
   * @throws SkeinError `not-found` when it is not an existing folder.
   */
  async root(): Promise<string> {
    try {
      const real = await realpath(this.#root);
      if ((await stat(real)).isDirectory()) return real;
    } catch (error) {
      throw noRoot(this.#root, error);
    }
    throw noRoot(this.#root);
  }

  /**
   * Where a path leads, relative to `base` (an absolute folder; the root by default).
   * @throws SkeinError `invalid` for what is no path, `denied` when it leads outside or to something hidden.
   */
  async locate(path: string, base?: string): Promise<Located> {
    assertPath(path);
    const root = await this.root();
    const { real, exists } = await resolveLinks(resolve(base ?? root, path), path);
    await this.#assertInside(root, real, path);
    return { real, relative: relative(root, real) || '.', exists };
  }

  /**
   * Checks words that may be paths, relative to `base`; outside the root is fine, and so is what is no path at all.
   * @throws SkeinError `denied` when the path leads to something hidden.
   */
  async assertNotHidden(path: string, base: string): Promise<void> {
    const absolute = resolve(base, path);
    const resolved = await resolveLinks(absolute, path).catch(() => undefined);
    await this.#assertVisible(resolved?.real ?? absolute, path);
  }

  /** Says of resolved absolute paths whether they are hidden, as things stand now. */
  async hiddenTest(): Promise<(real: string) => boolean> {
    // What does not resolve for this process cannot be reached through its target either.
    const resolved = await Promise.all(
      this.#hidden.map(async (path) => (await resolveLinks(path, path).catch(() => undefined))?.real ?? path),
    );
    const hidden = [...new Set([...this.#hidden, ...resolved])];
    return (real) => hidden.some((path) => containsPath(path, real));
  }

  /**
   * Opens what a path leads to and checks what was opened, so a path changed between check and use gains nothing. The
   * caller closes it.
   * @throws SkeinError as `locate`; `not-found`, `denied` and others for what the system refuses.
   */
  async open(path: string, flags: number): Promise<{ handle: FileHandle; located: Located }> {
    const located = await this.locate(path);
    // O_NONBLOCK: opening a pipe must not wait for its writer.
    const handle = await open(located.real, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
      throw fileError(error, path);
    });
    try {
      await this.#assertInside(await this.root(), await openedPath(handle, located.real), path);
      return { handle, located };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #assertInside(root: string, real: string, shown: string): Promise<void> {
    if (!containsPath(root, real)) {
      throw new SkeinError(
        `${JSON.stringify(shown)} leads outside the folder tools may use here (${root}); the node's owner sets it with tools.root`,
        { code: 'denied' },
      );
    }
    await this.#assertVisible(real, shown);
  }

  async #assertVisible(real: string, shown: string): Promise<void> {
    const isHidden = await this.hiddenTest();
    if (isHidden(real)) {
      throw new SkeinError(`${JSON.stringify(shown)} is not open to tools: it belongs to the node or the system`, {
        code: 'denied',
      });
    }
  }
}

/** A path by which the children of an opened folder can be reached even if the folder's own path changes meanwhile. */
export function childPath(folder: FileHandle, located: string, name: string): string {
  return join(process.platform === 'linux' ? `/proc/self/fd/${folder.fd}` : located, name);
}

/** An error of the file system as ours. Never carries more of the path than the caller gave. */
export function fileError(error: unknown, shown: string): SkeinError {
  if (error instanceof SkeinError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const path = JSON.stringify(shown);
  switch (code) {
    case 'ENOENT':
      return new SkeinError(`There is no ${path}; list_files shows what there is`, { code: 'not-found', cause: error });
    case 'ENOTDIR':
      return new SkeinError(`${path} is not a folder, or a part of it is not`, { code: 'invalid', cause: error });
    case 'EISDIR':
      return new SkeinError(`${path} is a folder; list_files shows what is in it`, { code: 'invalid', cause: error });
    case 'ENAMETOOLONG':
      return new SkeinError(`${path.slice(0, 60)}… is too long a path`, { code: 'invalid', cause: error });
    case 'ELOOP':
      return new SkeinError(`${path} is a link that leads nowhere or changed meanwhile`, { code: 'denied', cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new SkeinError(`The system does not let this node use ${path} (${code})`, { code: 'denied', cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EIO':
    case 'EMFILE':
    case 'ENFILE':
      return new SkeinError(`${path} cannot be used now (${code})`, { code: 'unavailable', cause: error });
    default:
      return new SkeinError(`${path} cannot be used`, { code: 'internal', cause: error });
  }
}

/** Resolves the links of the part of a path that exists and keeps the rest as it is. */
async function resolveLinks(absolute: string, shown: string): Promise<{ real: string; exists: boolean }> {
  const missing: string[] = [];
  let existing = absolute;
  for (;;) {
    try {
      return { real: join(await realpath(existing), ...missing), exists: missing.length === 0 };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if ((code !== 'ENOENT' && code !== 'ENOTDIR') || dirname(existing) === existing) throw fileError(error, shown);
      // A link to nothing is there itself: writing through it would create its target.
      if (await isLink(existing)) throw fileError(Object.assign(new Error('broken link'), { code: 'ELOOP' }), shown);
    }
    missing.unshift(basename(existing));
    existing = dirname(existing);
  }
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch {
    // Not there at all, or below a file: no link either way.
    return false;
  }
}

/** The path of what a handle holds: told by the kernel on Linux, elsewhere proven by comparing identities. */
async function openedPath(handle: FileHandle, expected: string): Promise<string> {
  if (process.platform === 'linux') return readlink(`/proc/self/fd/${handle.fd}`);
  const real = await realpath(expected);
  const [opened, named] = await Promise.all([handle.stat({ bigint: true }), stat(real, { bigint: true })]);
  if (opened.dev !== named.dev || opened.ino !== named.ino) {
    throw new SkeinError(`${JSON.stringify(basename(expected))} changed while it was opened; try again`, { code: 'conflict' });
  }
  return real;
}

function assertPath(path: string): void {
  if (path === '' || path.includes('\0')) {
    throw new SkeinError(`${JSON.stringify(path)} is not a path: it is empty or holds a NUL character`, { code: 'invalid' });
  }
  if (path.length > MAX_PATH_LENGTH) {
    throw new SkeinError(`A path of ${path.length} characters is too long; at most ${MAX_PATH_LENGTH}`, { code: 'invalid' });
  }
}

function noRoot(root: string, cause?: unknown): SkeinError {
  return new SkeinError(
    `The folder for tools, ${root}, does not exist or is not a folder; create it, or name another: tools.root, or allow.filesystem of a paw in a vole.config.json`,
    {
      code: 'not-found',
      cause,
    },
  );
}
