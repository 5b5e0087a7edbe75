import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  createSecretKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type { Clock } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { publicKeyOf, spkiBase64 } from './vole-id.ts';

const CIPHER = 'chacha20-poly1305';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const KEM_CIPHERTEXT_BYTES = 1_088;
/** How long a key that was agreed on seals, and how many texts. With random nonces two are alike once in 2^77. */
const SEALED_MS_MAX = 10_000;
const SEALED_MAX = 1_024;
/** Purposes, so senders, whose last key is kept; of more, those are forgotten that were first. */
const AGREEMENTS_MAX = 256;

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

/** An agreed key, and what tells its recipient how to come to it. */
interface Agreement {
  readonly epk: string;
  readonly kem: string | undefined;
  readonly key: KeyObject;
}

export interface BoxSealerParts {
  readonly to: BoxPublicKeys;
  /** Says for what; whoever opens it must say the same. */
  readonly aad: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * Seals texts to one recipient. The costly part, agreeing on a key, serves all that is sealed within a few seconds;
 * every box has a nonce of its own. The key is kept for no longer: to one who gets into this process later, what was
 * sealed before stays sealed.
 */
export class BoxSealer {
  readonly #parts: BoxSealerParts;
  #agreement: (Agreement & { readonly untilMs: number; left: number }) | undefined;

  constructor(parts: BoxSealerParts) {
    this.#parts = parts;
  }

  seal(text: string): SealedBox {
    const { epk, kem, key } = this.#agree();
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(this.#parts.aad), { plaintextLength: Buffer.byteLength(text) });
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    const box = { epk, n: nonce.toString('base64'), c: sealed.toString('base64') };
    return kem === undefined ? box : { ...box, kem };
  }

  /** Called now and then: lets go of a key that is not to be used again. */
  forget(): void {
    if (this.#agreement !== undefined && this.#parts.clock.monotonicMs() >= this.#agreement.untilMs) {
      this.#agreement = undefined;
    }
  }

  #agree(): Agreement {
    const { to, aad, clock } = this.#parts;
    this.forget();
    if (this.#agreement !== undefined && this.#agreement.left > 0) {
      this.#agreement.left -= 1;
      return this.#agreement;
    }
    const ephemeral = generateKeyPairSync('x25519');
    const agreed = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: to.x25519 });
    const kem = to.mlKem === undefined ? undefined : encapsulate(to.mlKem);
    this.#agreement = {
      epk: spkiBase64(ephemeral.publicKey),
      kem: kem?.ciphertext.toString('base64'),
      key: deriveKey(agreed, kem?.sharedKey, aad),
      untilMs: clock.monotonicMs() + SEALED_MS_MAX,
      left: SEALED_MAX - 1,
    };
    return this.#agreement;
  }
}

/**
 * Opens boxes. The key of the last one that opened is kept for each purpose: the next may be sealed with it too. To be
 * asked only for boxes from those whose signature was checked, so that strangers push nobody's key out.
 */
export class BoxOpener {
  readonly #keys: BoxKeys;
  readonly #agreements = new Map<string, Agreement>();

  constructor(keys: BoxKeys) {
    this.#keys = keys;
  }

  /** @throws SkeinError `unauthenticated` for every way in which it is not one to these keys for this. */
  open(box: SealedBox, aad: string): Buffer {
    try {
      const nonce = decodeExact(box.n, NONCE_BYTES);
      const sealed = Buffer.from(box.c, 'base64');
      if (sealed.length < TAG_BYTES) throw new RangeError('no tag');
      const agreement = this.#agree(box, aad);
      const decipher = createDecipheriv(CIPHER, agreement.key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(aad), { plaintextLength: sealed.length - TAG_BYTES });
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      const opened = Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()]);
      this.#keep(aad, agreement);
      return opened;
    } catch (cause) {
      throw new SkeinError('A sealed box does not open', { code: 'unauthenticated', cause });
    }
  }

  #agree({ epk, kem }: SealedBox, aad: string): Agreement {
    const kept = this.#agreements.get(aad);
    if (kept !== undefined && kept.epk === epk && kept.kem === kem) return kept;
    const ciphertext = kem === undefined ? undefined : decodeExact(kem, KEM_CIPHERTEXT_BYTES);
    const publicKey = createPublicKey({ key: Buffer.from(epk, 'base64'), type: 'spki', format: 'der' });
    const agreed = diffieHellman({ privateKey: this.#keys.x25519, publicKey });
    return { epk, kem, key: deriveKey(agreed, ciphertext && decapsulate(this.#keys.mlKem, ciphertext), aad) };
  }

  #keep(aad: string, agreement: Agreement): void {
    if (this.#agreements.get(aad) === agreement) return;
    const [oldest] = this.#agreements.keys();
    if (this.#agreements.size >= AGREEMENTS_MAX && oldest !== undefined) this.#agreements.delete(oldest);
    this.#agreements.set(aad, agreement);
  }
}

function deriveKey(agreed: Buffer, kemSecret: Buffer | undefined, aad: string): KeyObject {
  const scheme = kemSecret === undefined ? 'volenet-seal-v1' : 'volenet-seal-v2';
  const secret = kemSecret === undefined ? agreed : Buffer.concat([agreed, kemSecret]);
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `${scheme}|${aad}`, KEY_BYTES)));
}

function decodeExact(base64: string, bytes: number): Buffer {
  const decoded = Buffer.from(base64, 'base64');
  if (decoded.length !== bytes) throw new RangeError(`${decoded.length} bytes instead of ${bytes}`);
  return decoded;
}
