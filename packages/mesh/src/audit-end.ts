import {
  type AuditCheckpoint,
  type Identity,
  openAuditCheckpoint,
  type PeerId,
  SkeinError,
  signAuditCheckpoint,
} from '@skein/protocol';
import { readOwnFile, writeFileAtomic } from './trust/files.ts';

const BYTES_MAX = 1_000;

/** Where the chain of an audit log ends. Kept elsewhere, it shows whether the log was changed behind it. */
export type AuditEnd = Pick<AuditCheckpoint, 'count' | 'head' | 'log'>;

/**
 * The checkpoint in a file, or undefined when there is none.
 * @throws SkeinError `corrupt` for one that was changed or is not of one of these issuers, `denied`.
 */
export function readAuditEnd(path: string, issuers: ReadonlySet<PeerId>): AuditCheckpoint | undefined {
  const text = readOwnFile(path, { maxBytes: BYTES_MAX, secret: false });
  if (text === undefined) return undefined;
  try {
    const checkpoint = openAuditCheckpoint(text.trim());
    if (issuers.has(checkpoint.issuer.id)) return checkpoint;
  } catch (cause) {
    throw damaged(path, cause);
  }
  throw damaged(path);
}

/** Remembers where a chain ends, signed; what was written. */
export function writeAuditEnd(path: string, issuer: Identity, end: AuditEnd & { readonly atMs: number }): string {
  const text = signAuditCheckpoint(issuer, end);
  writeFileAtomic(path, `${text}\n`);
  return text;
}

function damaged(path: string, cause?: unknown): SkeinError {
  return new SkeinError(
    `${path} is damaged or of another key; keep it: move all files beside it whose names begin with "audit" away to begin a new log`,
    {
      code: 'corrupt',
      cause,
    },
  );
}
