import { SkeinError } from '../errors.ts';
import { type Identity, type PublicIdentity, publicIdentity, SIGNATURE_BYTES, signBytes, verifyBytes } from '../keys.ts';

/** Bytes of a raw public key, with which every statement begins. */
export const KEY_BYTES_RAW = 32;

/** Ed25519 over the domain, a zero byte and exactly these bytes: worth nothing as any other statement. */
export function signStatement(identity: Identity, domain: string, body: Uint8Array): Buffer {
  return signBytes(identity, signedText(domain, body));
}

/** @throws SkeinError `unauthenticated` unless the signature is this key's over this body in this domain. */
export function verifyStatement(
  identity: PublicIdentity,
  { domain, body, signature }: { readonly domain: string; readonly body: Uint8Array; readonly signature: Uint8Array },
): void {
  if (verifyBytes(identity, signedText(domain, body), signature)) return;
  throw new SkeinError(`The signature of a "${domain}" statement is not that of its key ${identity.id}`, {
    code: 'unauthenticated',
  });
}

/** A body with its signatures behind it, in padded base64. */
export function formatStatement(body: Uint8Array, ...signatures: readonly Uint8Array[]): string {
  return Buffer.concat([body, ...signatures]).toString('base64');
}

/**
 * The bytes of a statement, without any check of what they say.
 * @throws SkeinError `invalid` for what is not the one canonical base64 of a number of bytes within these bounds.
 */
export function parseStatement(
  text: string,
  { minBytes, maxBytes }: { readonly minBytes: number; readonly maxBytes: number },
): {
  readonly body: Buffer;
  readonly signature: Buffer;
  /** The key at its beginning. */
  readonly key: PublicIdentity;
} {
  const fits = text.length <= Math.ceil(maxBytes / 3) * 4;
  const bytes = fits ? Buffer.from(text, 'base64') : Buffer.alloc(0);
  if (bytes.length < minBytes || bytes.length > maxBytes || bytes.toString('base64') !== text) {
    throw new SkeinError(`"${text.slice(0, 60)}" is not the base64 of ${minBytes} to ${maxBytes} bytes`, { code: 'invalid' });
  }
  const body = bytes.subarray(0, -SIGNATURE_BYTES);
  return { body, signature: bytes.subarray(-SIGNATURE_BYTES), key: publicIdentity(bytes.subarray(0, KEY_BYTES_RAW)) };
}

/** @throws SkeinError `invalid` above 2^53-1. */
export function readNumber(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64BE(at);
  if (value > Number.MAX_SAFE_INTEGER) throw new SkeinError(`${value} is no number this protocol has`, { code: 'invalid' });
  return Number(value);
}

/** Eight bytes. */
export function formatNumber(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function signedText(domain: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${domain}\0`, 'ascii'), body]);
}
