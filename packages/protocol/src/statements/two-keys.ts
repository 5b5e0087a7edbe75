import { SkeinError } from '../errors.ts';
import { type Identity, type PublicIdentity, publicIdentity, SIGNATURE_BYTES } from '../keys.ts';
import {
  formatNumber,
  formatStatement,
  KEY_BYTES_RAW,
  parseStatement,
  readNumber,
  signStatement,
  verifyStatement,
} from './statement.ts';

const BODY_BYTES = KEY_BYTES_RAW + KEY_BYTES_RAW + 8;
const BYTES = BODY_BYTES + 2 * SIGNATURE_BYTES;

/** Characters of a statement of two keys as text. */
export const TWO_KEYS_CHARS = Math.ceil(BYTES / 3) * 4;

/** What a statement of two keys says: that they belong together, in this order. */
export interface TwoKeys {
  readonly first: PublicIdentity;
  readonly second: PublicIdentity;
  /** When, by the clock of the machine where it was made. */
  readonly atMs: number;
}

/** Who signs such a statement, and as what. */
export interface Signer<Key extends PublicIdentity> {
  readonly key: Key;
  readonly domain: string;
}

/** @throws SkeinError `invalid` for one key twice. */
export function signTwoKeys({ first, second, atMs }: TwoKeys, signers: readonly [Signer<Identity>, Signer<Identity>]): string {
  if (first.id === second.id) throw sameKey();
  const body = Buffer.concat([first.bytes, second.bytes, formatNumber(atMs)]);
  return formatStatement(body, ...signers.map(({ key, domain }) => signStatement(key, domain, body)));
}

/** What a statement of two keys says, unproven. @throws SkeinError `invalid`. */
export function readTwoKeys(text: string): TwoKeys {
  const { body, key } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  const second = publicIdentity(body.subarray(KEY_BYTES_RAW, 2 * KEY_BYTES_RAW));
  if (key.id === second.id) throw sameKey();
  return { first: key, second, atMs: readNumber(body, 2 * KEY_BYTES_RAW) };
}

/** Checks both signatures of a statement of two keys. @throws SkeinError `invalid`, `unauthenticated`. */
export function verifyTwoKeys(text: string, [first, second]: readonly [Signer<PublicIdentity>, Signer<PublicIdentity>]): void {
  const { body: signed, signature } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  const body = signed.subarray(0, BODY_BYTES);
  verifyStatement(first.key, { domain: first.domain, body, signature: signed.subarray(BODY_BYTES) });
  verifyStatement(second.key, { domain: second.domain, body, signature });
}

function sameKey(): SkeinError {
  return new SkeinError('A key stands in this statement for two', { code: 'invalid' });
}
