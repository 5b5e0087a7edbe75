import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SkeinError } from '../errors.ts';

/** DER in front of a raw X25519 key in a SubjectPublicKeyInfo and in a PKCS#8 PrivateKeyInfo (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** Bytes of an X25519 public key and of a shared secret. */
export const DH_BYTES = 32;

/** An X25519 key pair with its public key also raw, as it stands in messages. */
export interface X25519KeyPair {
  /** Raw public key, 32 bytes. */
  readonly publicBytes: Buffer;
  readonly privateKey: KeyObject;
}

/** A fresh X25519 key pair. */
export function createX25519(): X25519KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { publicBytes: rawPublic(publicKey), privateKey };
}

/**
 * The key pair of a raw 32-byte private key.
 * @throws SkeinError `invalid` when there are not 32 bytes.
 */
export function x25519FromPrivate(bytes: Uint8Array): X25519KeyPair {
  requireLength(bytes, 'private');
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, bytes]), type: 'pkcs8', format: 'der' });
  return { publicBytes: rawPublic(createPublicKey(privateKey)), privateKey };
}

/**
 * A raw 32-byte public key as the object that `dh` takes.
 * @throws SkeinError `invalid` when there are not 32 bytes.
 */
export function x25519Public(bytes: Uint8Array): KeyObject {
  requireLength(bytes, 'public');
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), type: 'spki', format: 'der' });
}

/** @throws SkeinError `unauthenticated` for a public key of small order, whose secret anybody would know. */
export function dh(own: X25519KeyPair, publicKey: KeyObject): Buffer {
  try {
    return diffieHellman({ privateKey: own.privateKey, publicKey });
  } catch (cause) {
    throw new SkeinError('The other side sent an X25519 key of small order', { code: 'unauthenticated', cause });
  }
}

function rawPublic(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length);
}

function requireLength(bytes: Uint8Array, kind: 'private' | 'public'): void {
  if (bytes.length !== DH_BYTES) {
    throw new SkeinError(`An X25519 ${kind} key has ${DH_BYTES} bytes, not ${bytes.length}`, { code: 'invalid' });
  }
}
