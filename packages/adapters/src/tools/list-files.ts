import { constants } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { defineTool, type Tool } from '@skein/agent';
import { abortReason, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { listFilesExamples } from './examples.ts';
import { childPath, fileError, Jail, type JailOptions } from './jail.ts';

export interface ListFilesOptions extends JailOptions {
  /** The most entries one call returns. */
  readonly maxEntries?: number;
}

export const LIST_FILES_DEFAULTS = { maxEntries: 1_000 } as const;

const MAX_DEPTH = 16;
const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY;

const input = z.object({
  path: z.string().min(1).max(4_096).default('.').describe('The folder, relative to the root folder.'),
  depth: z.int().min(1).max(MAX_DEPTH).default(1).describe('How many levels of folders to show.'),
  limit: z.int().min(1).max(10_000).optional().describe('The most entries to return.'),
});

interface Entry {
  readonly path: string;
  readonly type: 'file' | 'folder' | 'link' | 'other';
  readonly sizeBytes: number;
  readonly changedAtMs: number;
}

/**
 * Lists a folder inside the root: `{ path, count, entries, truncated }`, folder by folder, by name in each. Links are
 * shown and not followed; what is hidden is left out.
 */
export function createListFiles(options: ListFilesOptions): Tool {
  const jail = new Jail(options);
  const maxEntries = options.maxEntries ?? LIST_FILES_DEFAULTS.maxEntries;
  return defineTool({
    name: 'list_files',
    description: `Lists files and folders below the root folder with type, size and time, at most ${maxEntries} at once.`,
    input,
    effect: 'read',
    untrusted: true,
    examples: listFilesExamples,
    async run({ path, depth, limit }, { signal }) {
      const bound = Math.min(limit ?? maxEntries, maxEntries);
      try {
        const start = await jail.locate(path);
        const listing = new Listing({ jail, bound, root: await jail.root(), isHidden: await jail.hiddenTest() });
        await listing.add(start.real, { depth, signal, shown: path });
        const { entries, truncated } = listing;
        return { path: start.relative, count: entries.length, entries: entries.map((entry) => ({ ...entry })), truncated };
      } catch (error) {
        throw fileError(error, path);
      }
    },
  });
}

interface ListingParts {
  readonly jail: Jail;
  readonly bound: number;
  readonly root: string;
  readonly isHidden: (real: string) => boolean;
}

class Listing {
  readonly entries: Entry[] = [];
  truncated = false;
  readonly #parts: ListingParts;

  constructor(parts: ListingParts) {
    this.#parts = parts;
  }

  async add(folder: string, { depth, signal, shown }: { depth: number; signal: AbortSignal; shown: string }): Promise<void> {
    if (signal.aborted) throw abortReason(signal);
    const folders: string[] = [];
    {
      const { handle, located } = await this.#parts.jail.open(folder, FOLDER_FLAGS).catch((error: unknown) => {
        throw fileError(error, shown);
      });
      await using opened = handle;
      for (const name of await this.#names(childPath(opened, located.real, '.'))) {
        const real = join(located.real, name);
        if (this.#parts.isHidden(real)) continue;
        if (this.entries.length >= this.#parts.bound) {
          this.truncated = true;
          return;
        }
        const entry = await this.#describe(childPath(opened, located.real, name), real);
        if (entry === undefined) continue;
        this.entries.push(entry);
        if (entry.type === 'folder') folders.push(real);
      }
    }
    if (depth === 1) return;
    for (const child of folders) {
      if (this.truncated) return;
      await this.add(child, { depth: depth - 1, signal, shown: relative(this.#parts.root, child) }).catch((error: unknown) => {
        // A folder below that cannot be read or went away does not spoil the rest.
        const { code } = SkeinError.from(error);
        if (code !== 'denied' && code !== 'not-found') throw error;
      });
    }
  }

  /** Names in order; of a folder with more than fits, the first that the system gives. */
  async #names(path: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of await opendir(path)) {
      // Hidden entries are left out later and must not use up the room, so there is some to spare.
      if (names.length > this.#parts.bound + 64) break;
      names.push(name);
    }
    return names.sort();
  }

  async #describe(path: string, real: string): Promise<Entry | undefined> {
    const stats = await lstat(path).catch(() => undefined);
    // Removed since the folder was read.
    if (stats === undefined) return undefined;
    const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other';
    return {
      path: relative(this.#parts.root, real),
      type,
      sizeBytes: stats.size,
      changedAtMs: Math.round(stats.mtimeMs),
    };
  }
}
