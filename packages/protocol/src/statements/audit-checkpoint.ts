import { type Identity, type PublicIdentity, SIGNATURE_BYTES } from '../keys.ts';
import {
  formatNumber,
  formatStatement,
  KEY_BYTES_RAW,
  parseStatement,
  readNumber,
  signStatement,
  verifyStatement,
} from './statement.ts';

const DOMAIN = 'skein checkpoint 1';
const HASH_BYTES = 32;
const BODY_BYTES = KEY_BYTES_RAW + 8 + 8 + 2 * HASH_BYTES;
const BYTES = BODY_BYTES + SIGNATURE_BYTES;

/** Characters of a checkpoint as text. */
export const CHECKPOINT_CHARS = Math.ceil(BYTES / 3) * 4;

/** How far a node's audit log had come. */
export interface AuditCheckpoint {
  readonly issuer: PublicIdentity;
  /** Records of the chain. */
  readonly count: number;
  /** SHA-256 of the last of them, in hex. */
  readonly head: string;
  /** SHA-256 of the first of them, in hex: which log it is. */
  readonly log: string;
  /** When, by the issuer's clock. */
  readonly atMs: number;
}

/** Signs where the log of this node ends. */
export function signAuditCheckpoint(issuer: Identity, { count, head, log, atMs }: Omit<AuditCheckpoint, 'issuer'>): string {
  const body = Buffer.concat([issuer.bytes, formatNumber(count), formatNumber(atMs), Buffer.from(head + log, 'hex')]);
  return formatStatement(body, signStatement(issuer, DOMAIN, body));
}

/** Reads a checkpoint and checks its signature. @throws SkeinError `invalid`, `unauthenticated`. */
export function openAuditCheckpoint(text: string): AuditCheckpoint {
  const { body, signature, key } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  verifyStatement(key, { domain: DOMAIN, body, signature });
  return {
    issuer: key,
    count: readNumber(body, KEY_BYTES_RAW),
    atMs: readNumber(body, KEY_BYTES_RAW + 8),
    head: body.toString('hex', KEY_BYTES_RAW + 16, KEY_BYTES_RAW + 16 + HASH_BYTES),
    log: body.toString('hex', KEY_BYTES_RAW + 16 + HASH_BYTES),
  };
}
