import { formatBase32 } from '../base32.ts';
import { SkeinError } from '../errors.ts';
import { type PeerId, parsePeerId, peerIdBytes } from '../ids.ts';
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

const DOMAIN = 'skein revocations 1';
const ID_BYTES = 32;
const HEAD_BYTES = KEY_BYTES_RAW + 8 + 8 + 2;

/** Keys one list names. */
export const REVOCATIONS_MAX = 1_024;
/** Characters of a list as text. */
export const REVOCATION_LIST_CHARS_MAX = Math.ceil((HEAD_BYTES + REVOCATIONS_MAX * ID_BYTES + SIGNATURE_BYTES) / 3) * 4;

/** Whom a node has revoked and tells others of. */
export interface RevocationList {
  readonly issuer: PublicIdentity;
  /** Grows with every change; of two lists of one issuer the higher counts. */
  readonly version: number;
  /** When it was made, by the issuer's clock. */
  readonly atMs: number;
  readonly ids: readonly PeerId[];
}

/** Signs a list. @throws SkeinError `too-large` above 1,024 keys, `invalid` when it names its issuer or a key twice. */
export function signRevocationList(issuer: Identity, list: Omit<RevocationList, 'issuer'>): string {
  const ids = [...list.ids].sort();
  check(issuer.id, ids);
  const count = Buffer.alloc(2);
  count.writeUInt16BE(ids.length);
  const body = Buffer.concat([
    issuer.bytes,
    formatNumber(list.version),
    formatNumber(list.atMs),
    count,
    ...ids.map((id) => peerIdBytes(id)),
  ]);
  return formatStatement(body, signStatement(issuer, DOMAIN, body));
}

/**
 * Reads a list and checks its signature.
 * @throws SkeinError `invalid` for what is none, names its issuer, or is not in order; `unauthenticated`.
 */
export function openRevocationList(text: string): RevocationList {
  const { body, signature, key } = parseStatement(text, {
    minBytes: HEAD_BYTES + SIGNATURE_BYTES,
    maxBytes: HEAD_BYTES + REVOCATIONS_MAX * ID_BYTES + SIGNATURE_BYTES,
  });
  verifyStatement(key, { domain: DOMAIN, body, signature });
  const count = body.readUInt16BE(HEAD_BYTES - 2);
  if (body.length !== HEAD_BYTES + count * ID_BYTES) {
    throw new SkeinError(`A revocation list says it has ${count} keys, and has not`, { code: 'invalid' });
  }
  const ids = Array.from({ length: count }, (_, index) => idAt(body, HEAD_BYTES + index * ID_BYTES));
  check(key.id, ids);
  return { issuer: key, version: readNumber(body, KEY_BYTES_RAW), atMs: readNumber(body, KEY_BYTES_RAW + 8), ids };
}

function check(issuer: PeerId, ids: readonly PeerId[]): void {
  if (ids.length > REVOCATIONS_MAX) {
    throw new SkeinError(`A revocation list names at most ${REVOCATIONS_MAX} keys, not ${ids.length}`, { code: 'too-large' });
  }
  const unordered = ids.find((id, index) => index > 0 && id <= (ids[index - 1] ?? ''));
  if (unordered !== undefined)
    throw new SkeinError(`A revocation list has ${unordered} twice or out of order`, { code: 'invalid' });
  if (ids.includes(issuer)) throw new SkeinError('A revocation list names its own issuer', { code: 'invalid' });
}

function idAt(body: Buffer, at: number): PeerId {
  return parsePeerId(formatBase32(body.subarray(at, at + ID_BYTES)));
}
