import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { publicKeyOf, spkiBase64 } from './vole-id.ts';

const CIPHER = 'chacha20-poly1305';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const KEM_CIPHERTEXT_BYTES = 1_088;

/** A sealed box, its fields base64: an ephemeral X25519 key, an ML-KEM-768 ciphertext or none, a nonce, a ciphertext. */
export const sealedBox = z.object({
  epk: z.string().max(100),
  kem: z.string().max(2_000).optional(),
  n: z.string().max(24),
  c: z.string().max(1_000_000),
});
export type SealedBox = z.infer<typeof sealedBox>;

/** The public keys a box is sealed to. Without the second it is of the first version: no ML-KEM. */
export interface BoxPublicKeys {
  readonly x25519: KeyObject;
  readonly mlKem?: KeyObject;
}

/** The private keys boxes are opened with. */
export interface BoxKeys {
  readonly x25519: KeyObject;
  readonly mlKem: KeyObject;
}

/** The public keys a peer announced; undefined when there is no usable X25519 key. */
export function boxKeysOf(xPublicKey: string | undefined, mlKem: string | undefined): BoxPublicKeys | undefined {
  const x25519 = xPublicKey === undefined ? undefined : publicKeyOf(xPublicKey, 'x25519');
  if (x25519 === undefined) return undefined;
  const kem = mlKem === undefined ? undefined : publicKeyOf(mlKem, 'ml-kem-768');
  return kem === undefined ? { x25519 } : { x25519, mlKem: kem };
}

/** Seals a text to keys; `aad` says for what, and whoever opens it must say the same. */
export function sealBox(text: string, to: BoxPublicKeys, aad: string): SealedBox {
  const ephemeral = generateKeyPairSync('x25519');
  const agreed = agree(ephemeral.privateKey, to.x25519);
  const kem = to.mlKem === undefined ? undefined : encapsulate(to.mlKem);
  const key = deriveKey(agreed, kem?.sharedKey, aad);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(aad), { plaintextLength: Buffer.byteLength(text) });
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return {
    epk: spkiBase64(ephemeral.publicKey),
    ...(kem === undefined ? {} : { kem: kem.ciphertext.toString('base64') }),
    n: nonce.toString('base64'),
    c: sealed.toString('base64'),
  };
}

/** Opens a box. @throws SkeinError `unauthenticated` for every way in which it is not one to these keys for this. */
export function openBox(box: SealedBox, keys: BoxKeys, aad: string): Buffer {
  try {
    const kem = box.kem === undefined ? undefined : decodeExact(box.kem, KEM_CIPHERTEXT_BYTES);
    const nonce = decodeExact(box.n, NONCE_BYTES);
    const sealed = Buffer.from(box.c, 'base64');
    if (sealed.length < TAG_BYTES) throw new RangeError('no tag');
    const epk = createPublicKey({ key: Buffer.from(box.epk, 'base64'), type: 'spki', format: 'der' });
    const key = deriveKey(agree(keys.x25519, epk), kem && decapsulate(keys.mlKem, kem), aad);
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(aad), { plaintextLength: sealed.length - TAG_BYTES });
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new SkeinError('A sealed box does not open', { code: 'unauthenticated', cause });
  }
}

function agree(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  return diffieHellman({ privateKey, publicKey });
}

function deriveKey(agreed: Buffer, kemSecret: Buffer | undefined, aad: string): Buffer {
  const scheme = kemSecret === undefined ? 'volenet-seal-v1' : 'volenet-seal-v2';
  const secret = kemSecret === undefined ? agreed : Buffer.concat([agreed, kemSecret]);
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `${scheme}|${aad}`, KEY_BYTES));
}

function decodeExact(base64: string, bytes: number): Buffer {
  const decoded = Buffer.from(base64, 'base64');
  if (decoded.length !== bytes) throw new RangeError(`${decoded.length} bytes instead of ${bytes}`);
  return decoded;
}
