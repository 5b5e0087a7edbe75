import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { encryptKey } from './encrypted-key.ts';
import { SkeinError } from './errors.ts';
import { type PeerId, peerIdOf } from './ids.ts';

/** DER in front of a raw Ed25519 public key in a SubjectPublicKeyInfo (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;

/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;

/** A node's public key, with the id that follows from it. */
export interface PublicIdentity {
  readonly id: PeerId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly bytes: Uint8Array;
  readonly key: KeyObject;
}

/** A node's own key pair. */
export interface Identity extends PublicIdentity {
  readonly privateKey: KeyObject;
}

/** One line of a trust file without its options: a key and the label people gave it. */
export interface KeyLine {
  readonly identity: PublicIdentity;
  /** A label, never an identity. */
  readonly name: string;
}

/** A fresh Ed25519 identity. */
export function createIdentity(): Identity {
  return identityOf(generateKeyPairSync('ed25519').privateKey);
}

/**
 * Reads a key; `passphrase` opens an encrypted one.
 * @throws SkeinError `corrupt` when the text is not a PKCS#8 PEM Ed25519 key, `unauthenticated` when its passphrase is
 * missing or wrong; neither is ever named in it.
 */
export function parseIdentity(pem: string, passphrase?: string): Identity {
  const encrypted = isEncryptedKey(pem);
  if (encrypted && passphrase === undefined) {
    throw new SkeinError('The key is encrypted, and no passphrase was given', { code: 'unauthenticated' });
  }
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, ...(encrypted && passphrase !== undefined ? { passphrase } : {}) });
  } catch (error) {
    // The cause is dropped on purpose: it may quote the key.
    if (encrypted && isBadDecrypt(error)) {
      throw new SkeinError('The passphrase does not open the key, or the key is damaged', { code: 'unauthenticated' });
    }
    throw new SkeinError('The key file does not hold a PKCS#8 PEM private key', { code: 'corrupt' });
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new SkeinError(`The key file holds a key of type ${key.asymmetricKeyType ?? 'unknown'}, not ed25519`, {
      code: 'corrupt',
    });
  }
  return identityOf(key);
}

/** The identity as PKCS#8 PEM, for a file of mode 0600. */
export function formatIdentity(identity: Identity): string {
  return identity.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The same, encrypted; takes a while, so that guessing does too. */
export function formatEncryptedIdentity(identity: Identity, passphrase: string): string {
  return encryptKey(identity.privateKey.export({ type: 'pkcs8', format: 'der' }), passphrase);
}

/** Whether a key's PEM needs a passphrase. */
export function isEncryptedKey(pem: string): boolean {
  return pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----');
}

/** @throws SkeinError `invalid` when there are not 32 bytes. */
export function publicIdentity(bytes: Uint8Array): PublicIdentity {
  if (bytes.length !== 32) throw new SkeinError(`A public key has 32 bytes, not ${bytes.length}`, { code: 'invalid' });
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), type: 'spki', format: 'der' });
  return { id: peerIdOf(bytes), bytes: Uint8Array.from(bytes), key };
}

/**
 * Reads `skein-ed25519 <base64 raw key> <name>` and VoleNet's `vole-ed25519 <base64 SPKI DER> <name> […]`.
 * @throws SkeinError `invalid` naming what is wrong.
 */
export function parseKeyLine(line: string): KeyLine {
  const [kind, encoded = '', name] = line.trim().split(/\s+/);
  if (kind !== 'skein-ed25519' && kind !== 'vole-ed25519') {
    throw new SkeinError(`A key line starts with "skein-ed25519", not "${(kind ?? '').slice(0, 40)}"`, { code: 'invalid' });
  }
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) {
    throw new SkeinError(`The key "${encoded.slice(0, 60)}" is not base64`, { code: 'invalid' });
  }
  const raw = kind === 'skein-ed25519' ? bytes : rawFromSpki(bytes);
  const identity = publicIdentity(raw);
  return { identity, name: parseName(name ?? identity.id.slice(0, 8)) };
}

/** The one-line public form. */
export function formatKeyLine(identity: PublicIdentity, name: string): string {
  return `skein-ed25519 ${Buffer.from(identity.bytes).toString('base64')} ${parseName(name)}`;
}

/** @throws SkeinError `invalid` unless it is 1 to 64 letters, digits, dots, dashes or underscores. */
export function parseName(name: string): string {
  if (!NAME.test(name)) {
    throw new SkeinError(
      `"${name.slice(0, 70)}" is not a name: use 1 to 64 letters, digits, ".", "_" or "-", beginning with a letter or digit`,
      { code: 'invalid' },
    );
  }
  return name;
}

/** Ed25519 over exactly these bytes; 64 bytes. */
export function signBytes(identity: Identity, bytes: Uint8Array): Buffer {
  return sign(null, bytes, identity.privateKey);
}

/** True when the signature is this key's over exactly these bytes. */
export function verifyBytes(identity: PublicIdentity, bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && verify(null, bytes, identity.key, signature);
}

function rawFromSpki(der: Buffer): Buffer {
  if (der.length !== SPKI_PREFIX.length + 32 || !der.subarray(0, SPKI_PREFIX.length).equals(SPKI_PREFIX)) {
    throw new SkeinError('The key is not an Ed25519 SubjectPublicKeyInfo', { code: 'invalid' });
  }
  return der.subarray(SPKI_PREFIX.length);
}

/** What OpenSSL says of a wrong passphrase: the padding, or rarely what the padding let through, is wrong. */
function isBadDecrypt(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /BAD_DECRYPT|ASN1|UNSUPPORTED|DECODER/.test(String(error.code));
}

function identityOf(privateKey: KeyObject): Identity {
  const key = createPublicKey(privateKey);
  const bytes = rawFromSpki(key.export({ type: 'spki', format: 'der' }));
  return { id: peerIdOf(bytes), bytes, key, privateKey };
}
