import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { defineTool, type Tool } from '@skein/agent';
import { abortReason, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { readFileExamples } from './examples.ts';
import { fileError, Jail, type JailOptions } from './jail.ts';

export interface ReadFileOptions extends JailOptions {
  /** The most that one call returns. */
  readonly maxReadBytes?: number;
}

export const READ_FILE_DEFAULTS = { maxReadBytes: 131_072 } as const;

const CHUNK_BYTES = 65_536;
/** How far into a file one call goes to find a line. */
const MAX_SCAN_BYTES = 1_073_741_824;
const NEWLINE = 10;

const input = z.object({
  path: z.string().min(1).max(4_096).describe('The file, relative to the root folder.'),
  unit: z.enum(['lines', 'bytes']).default('lines').describe('What offset and limit count.'),
  offset: z.int().default(0).describe('Where to start: lines or bytes to skip; negative counts from the end.'),
  limit: z.int().min(1).optional().describe('The most lines or bytes to read.'),
  encoding: z.enum(['utf8', 'base64']).default('utf8').describe('base64 reads any file; it needs unit bytes.'),
});
type Input = z.infer<typeof input>;

/** Reads a file inside the root: `{ path, sizeBytes, encoding, content, truncated }`. */
export function createReadFile(options: ReadFileOptions): Tool {
  const jail = new Jail(options);
  const maxBytes = options.maxReadBytes ?? READ_FILE_DEFAULTS.maxReadBytes;
  return defineTool({
    name: 'read_file',
    description: `Reads a text file below the root folder, whole or a range of lines or bytes, at most ${maxBytes} bytes at once.`,
    input,
    effect: 'read',
    untrusted: true,
    examples: readFileExamples,
    async run(call, { signal }) {
      if (call.encoding === 'base64' && call.unit !== 'bytes') {
        throw new SkeinError('base64 has no lines: ask for it with unit bytes', { code: 'invalid' });
      }
      const { handle, located } = await jail.open(call.path, constants.O_RDONLY);
      await using file = handle;
      try {
        const stats = await file.stat();
        if (stats.isDirectory()) throw fileError(Object.assign(new Error('a folder'), { code: 'EISDIR' }), call.path);
        if (!stats.isFile())
          throw new SkeinError(`${JSON.stringify(call.path)} is no file but a device or pipe`, { code: 'denied' });
        const { bytes, truncated } = await readRange(file, call, { size: stats.size, maxBytes, signal });
        const content = call.encoding === 'base64' ? bytes.toString('base64') : decodeText(bytes, call.path, stats.size);
        return { path: located.relative, sizeBytes: stats.size, encoding: call.encoding, content, truncated };
      } catch (error) {
        throw fileError(error, call.path);
      }
    },
  });
}

interface Bounds {
  readonly size: number;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** Truncated: the file goes on within what was asked for. */
async function readRange(file: FileHandle, call: Input, bounds: Bounds): Promise<{ bytes: Buffer; truncated: boolean }> {
  const { size, maxBytes } = bounds;
  if (call.unit === 'bytes') {
    const start = call.offset < 0 ? Math.max(0, size + call.offset) : call.offset;
    const wanted = Math.min(call.limit ?? Number.MAX_SAFE_INTEGER, Math.max(0, size - start));
    const bytes = await readAt(file, start, Math.min(wanted, maxBytes));
    return { bytes, truncated: wanted > maxBytes };
  }
  if (call.offset < 0) {
    const start = Math.max(0, size - maxBytes);
    const tail = await readAt(file, start, Math.min(size, maxBytes));
    const { from, found } = lastLines(tail, -call.offset);
    const bytes = firstLines(tail.subarray(from), call.limit);
    return { bytes, truncated: !found && start > 0 };
  }
  const start = await skipLines(file, call.offset, bounds);
  const window = await readAt(file, start, maxBytes);
  const bytes = firstLines(window, call.limit);
  return { bytes, truncated: bytes.length === window.length && start + bytes.length < size && !endsAsAsked(bytes, call.limit) };
}

/** Whether the whole number of lines asked for is there, so that nothing was cut. */
function endsAsAsked(bytes: Buffer, limit: number | undefined): boolean {
  return limit !== undefined && countNewlines(bytes) >= limit;
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** The position after so many lines. */
async function skipLines(file: FileHandle, lines: number, { size, signal }: Bounds): Promise<number> {
  let left = lines;
  for (let position = 0; left > 0; ) {
    if (signal.aborted) throw abortReason(signal);
    if (position >= MAX_SCAN_BYTES) {
      throw new SkeinError(`Line ${lines} lies more than ${MAX_SCAN_BYTES} bytes into the file; ask for a range of bytes`, {
        code: 'too-large',
      });
    }
    const chunk = await readAt(file, position, CHUNK_BYTES);
    if (chunk.length === 0) return size;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) {
      left -= 1;
      if (left === 0) return position + at + 1;
    }
    position += chunk.length;
  }
  return 0;
}

function firstLines(bytes: Buffer, limit: number | undefined): Buffer {
  if (limit === undefined) return bytes;
  let end = 0;
  for (let line = 0; line < limit; line += 1) {
    const newline = bytes.indexOf(NEWLINE, end);
    if (newline === -1) return bytes;
    end = newline + 1;
  }
  return bytes.subarray(0, end);
}

/** Where the last lines begin; not found when there are fewer. */
function lastLines(bytes: Buffer, count: number): { from: number; found: boolean } {
  // A newline at the very end ends the last line and starts none.
  let at = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length;
  for (let line = 0; line < count; line += 1) {
    const newline = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1);
    if (newline === -1) return { from: 0, found: line + 1 === count && at === 0 };
    at = newline;
  }
  return { from: at + 1, found: true };
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

/** Text without the halves of characters a byte range cut off at its ends. */
function decodeText(bytes: Buffer, path: string, size: number): string {
  if (bytes.includes(0)) {
    throw new SkeinError(
      `${JSON.stringify(path)} is a binary file of ${size} bytes; ask for it with unit bytes and encoding base64`,
      { code: 'unsupported' },
    );
  }
  let start = 0;
  while (start < Math.min(3, bytes.length) && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  // `stream` keeps back an unfinished last character instead of replacing it.
  return new TextDecoder('utf-8').decode(bytes.subarray(start), { stream: true });
}
