import { createPublicKey, decapsulate, encapsulate, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SkeinError } from '../errors.ts';

/** Bytes of an ML-KEM-768 encapsulation key and ciphertext (FIPS 203, table 3). */
export const KEM_PUBLIC_BYTES = 1184;
export const KEM_CIPHERTEXT_BYTES = 1088;

/** An ML-KEM-768 key pair with its public key also raw. */
export interface KemKeyPair {
  readonly publicBytes: Buffer;
  readonly privateKey: KeyObject;
}

/** A secret for the holder of a KEM key, and the ciphertext that carries it there. */
export interface Encapsulated {
  readonly ciphertext: Buffer;
  readonly secret: Buffer;
}

/** A fresh ML-KEM-768 key pair. */
export function createKemKeys(): KemKeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ml-kem-768');
  return { publicBytes: publicKey.export({ format: 'raw-public' }), privateKey };
}

/** @throws SkeinError `unauthenticated` when the bytes are not an encapsulation key (FIPS 203, section 7.2). */
export function encapsulateTo(publicBytes: Uint8Array): Encapsulated {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(publicBytes), format: 'raw-public', asymmetricKeyType: 'ml-kem-768' });
  } catch (cause) {
    throw new SkeinError('The other side sent an ML-KEM-768 key that is none', { code: 'unauthenticated', cause });
  }
  const { ciphertext, sharedKey } = encapsulate(key);
  return { ciphertext, secret: sharedKey };
}

/** The secret in a ciphertext of the right length. A changed one gives another secret, not an error (FIPS 203, 6.3). */
export function decapsulateWith(keys: KemKeyPair, ciphertext: Uint8Array): Buffer {
  return decapsulate(keys.privateKey, ciphertext);
}
