import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { readOwnFile, writeFileAtomic } from './trust/files.ts';

const BYTES_MAX = 1_000;

const auditEnd = z.strictObject({
  /** Lines of the chain. */
  count: z.int().nonnegative(),
  /** Hash of the last of them, in hex. */
  last: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Where the chain of an audit file ends. Kept elsewhere, it shows whether lines were taken off the end of the file later. */
export type AuditEnd = Readonly<z.infer<typeof auditEnd>>;

/** The remembered end, or undefined when there is none. @throws SkeinError `corrupt`, `denied`. */
export function readAuditEnd(path: string): AuditEnd | undefined {
  const text = readOwnFile(path, { maxBytes: BYTES_MAX, secret: false });
  if (text === undefined) return undefined;
  try {
    return auditEnd.parse(JSON.parse(text));
  } catch (cause) {
    throw new SkeinError(`${path} is damaged; move it and the audit file aside to begin new ones`, { code: 'corrupt', cause });
  }
}

/** Remembers where a chain ends. */
export function writeAuditEnd(path: string, { count, last }: AuditEnd): void {
  writeFileAtomic(path, `${JSON.stringify({ count, last })}\n`);
}
