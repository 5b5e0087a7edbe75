import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, relative, sep } from 'node:path';
import { defineTool, type Tool } from '@skein/agent';
import { abortReason, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { writeFileExamples } from './examples.ts';
import { childPath, fileError, Jail, type JailOptions, type Located } from './jail.ts';

export interface WriteFileOptions extends JailOptions {
  /** The most that one call writes. */
  readonly maxWriteBytes?: number;
}

export const WRITE_FILE_DEFAULTS = { maxWriteBytes: 1_048_576 } as const;

/** A folder opened to work in it by its handle; O_DIRECTORY and O_NOFOLLOW refuse what became a link meanwhile. */
const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY;
const NEW_FILE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

const input = z.object({
  path: z.string().min(1).max(4_096).describe('The file, relative to the root folder; missing folders are made.'),
  content: z.string().describe('All that the file is to hold; what it held before is replaced.'),
  encoding: z.enum(['utf8', 'base64']).default('utf8').describe('How content is written down.'),
});

/**
 * Writes a whole file inside the root: `{ path, sizeBytes, created }`. The file is replaced in one step: a reader or a
 * crash sees the old content or the new, and the new one is on disk when the call returns.
 */
export function createWriteFile(options: WriteFileOptions): Tool {
  const jail = new Jail(options);
  const maxBytes = options.maxWriteBytes ?? WRITE_FILE_DEFAULTS.maxWriteBytes;
  return defineTool({
    name: 'write_file',
    description: `Writes a file below the root folder, at most ${maxBytes} bytes; replaces what it held.`,
    input,
    effect: 'idempotent',
    examples: writeFileExamples,
    async run(call, { signal }) {
      const bytes = decode(call, maxBytes);
      if (signal.aborted) throw abortReason(signal);
      try {
        const target = await jail.locate(call.path);
        if (target.relative === '.') throw fileError(Object.assign(new Error('the root'), { code: 'EISDIR' }), call.path);
        const { handle, located } = await openParent(jail, await jail.root(), dirname(target.real));
        await using parent = handle;
        const created = await replaceFile(parent, located, { name: basename(target.real), bytes });
        return { path: target.relative, sizeBytes: bytes.length, created };
      } catch (error) {
        throw fileError(error, call.path);
      }
    },
  });
}

function decode({ content, encoding }: z.infer<typeof input>, maxBytes: number): Buffer {
  if (encoding === 'base64' && !/^[A-Za-z0-9+/]*={0,2}$/.test(content)) {
    throw new SkeinError('content is not base64', { code: 'invalid' });
  }
  const bytes = Buffer.from(content, encoding);
  if (bytes.length > maxBytes) {
    throw new SkeinError(`${bytes.length} bytes are more than write_file takes at once, ${maxBytes}`, { code: 'too-large' });
  }
  return bytes;
}

/** Opens a folder inside the root, making what is missing one step at a time, each below a folder already checked. */
async function openParent(jail: Jail, root: string, folder: string): Promise<{ handle: FileHandle; located: Located }> {
  let current = await jail.open(root, FOLDER_FLAGS);
  try {
    for (const name of relative(root, folder).split(sep).filter(Boolean)) {
      await mkdir(childPath(current.handle, current.located.real, name)).catch((error: unknown) => {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      });
      const next = await jail.open(`${current.located.real}${sep}${name}`, FOLDER_FLAGS);
      await current.handle.close();
      current = next;
    }
    return current;
  } catch (error) {
    await current.handle.close();
    throw error;
  }
}

/** Returns whether the file is new. */
async function replaceFile(
  parent: FileHandle,
  located: Located,
  { name, bytes }: { readonly name: string; readonly bytes: Buffer },
): Promise<boolean> {
  const target = childPath(parent, located.real, name);
  const temporary = childPath(parent, located.real, `.${randomUUID()}.tmp`);
  const existing = await lstat(target).catch(() => undefined);
  if (existing !== undefined && !existing.isFile()) {
    throw new SkeinError(`${JSON.stringify(name)} is there already and is no file`, { code: 'conflict' });
  }
  try {
    await using file = await open(temporary, NEW_FILE_FLAGS, 0o666);
    await file.writeFile(bytes);
    if (existing !== undefined) await file.chmod(existing.mode & 0o777);
    await file.sync();
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  // Windows has no way to sync a folder.
  if (process.platform !== 'win32') await parent.sync();
  return existing === undefined;
}
