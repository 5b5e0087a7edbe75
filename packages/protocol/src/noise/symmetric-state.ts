import { createHash, hash, hkdfSync } from 'node:crypto';
import { CipherState, KEY_BYTES } from './cipher-state.ts';

const HASH_BYTES = 32;
const NOTHING = Buffer.alloc(0);

/** The running transcript hash and chaining key of a Noise handshake (Noise rev 34, section 5.2), with SHA-256. */
export class SymmetricState {
  #chainingKey: Buffer;
  #hash: Buffer;
  #cipher: CipherState | undefined;

  constructor(protocolName: string) {
    const name = Buffer.from(protocolName, 'ascii');
    this.#hash = name.length <= HASH_BYTES ? Buffer.concat([name], HASH_BYTES) : hash('sha256', name, 'buffer');
    this.#chainingKey = this.#hash;
  }

  /** The hash of everything so far; 32 bytes, never changed in place. */
  get hash(): Buffer {
    return this.#hash;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = createHash('sha256').update(this.#hash).update(data).digest();
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = this.#hkdf(input);
    this.#chainingKey = chainingKey;
    this.#cipher = new CipherState(key);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const output = derive(this.#chainingKey, input, 3);
    this.#chainingKey = output.subarray(0, HASH_BYTES);
    this.mixHash(output.subarray(HASH_BYTES, 2 * HASH_BYTES));
    this.#cipher = new CipherState(output.subarray(2 * HASH_BYTES));
  }

  encryptAndHash(plaintext: Uint8Array): Buffer {
    const ciphertext = this.#cipher === undefined ? Buffer.from(plaintext) : this.#cipher.encryptWithAd(this.#hash, plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** @throws SkeinError `unauthenticated`. */
  decryptAndHash(ciphertext: Uint8Array): Buffer {
    const plaintext = this.#cipher === undefined ? Buffer.from(ciphertext) : this.#cipher.decryptWithAd(this.#hash, ciphertext);
    this.mixHash(ciphertext);
    return plaintext;
  }

  /** True once a key exists, from when on everything is encrypted. */
  get hasKey(): boolean {
    return this.#cipher !== undefined;
  }

  /** The two keys of Noise's Split, raw: initiator to responder, then responder to initiator. */
  splitKeys(): readonly [Buffer, Buffer] {
    return this.#hkdf(NOTHING);
  }

  #hkdf(input: Uint8Array): readonly [Buffer, Buffer] {
    const output = derive(this.#chainingKey, input, 2);
    return [output.subarray(0, KEY_BYTES), output.subarray(KEY_BYTES)];
  }
}

/** Noise's HKDF (section 4.3) is RFC 5869's with the chaining key as salt and no info. */
function derive(chainingKey: Buffer, input: Uint8Array, outputs: 2 | 3): Buffer {
  return Buffer.from(hkdfSync('sha256', input, chainingKey, NOTHING, outputs * HASH_BYTES));
}
