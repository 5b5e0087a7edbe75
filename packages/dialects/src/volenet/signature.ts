import { type KeyObject, randomUUID, sign, verify } from 'node:crypto';
import { type Identity, type PublicIdentity, SkeinError, signBytes, verifyBytes } from '@skein/protocol';
import { canonicalPayload, signedText } from './canonical.ts';
import { VOLE_MESSAGE_BYTES_MAX, VOLE_VERSION } from './limits.ts';
import type { VoleType } from './payloads.ts';
import { type VoleId, voleIdOf } from './vole-id.ts';

/** Bytes of an ML-DSA-65 signature (FIPS 204, table 2). */
const ML_DSA_SIGNATURE_BYTES = 3_309;

export interface VoleSignerParts {
  readonly identity: Identity;
  /** The ML-DSA-65 private key, for those who hold its public half. */
  readonly mlDsa: KeyObject | undefined;
  /** The wall clock, epoch ms. */
  readonly now: () => number;
}

/** A message to be signed. The payload must be what JSON.parse could have given. */
export interface Unsigned {
  readonly type: VoleType;
  readonly to: VoleId | '*';
  readonly payload: unknown;
  /** Also with ML-DSA: 4.4 KB and about a millisecond more. */
  readonly hybrid: boolean;
}

/** A signed message as it goes out, and its id. */
export interface Signed {
  readonly id: string;
  readonly text: string;
}

/** Makes this node's signed messages. */
export class VoleSigner {
  readonly id: VoleId;
  readonly #parts: VoleSignerParts;

  constructor(parts: VoleSignerParts) {
    this.#parts = parts;
    this.id = voleIdOf(parts.identity);
  }

  /**
   * The message as text.
   * @throws SkeinError `too-large` above what the other side takes.
   */
  sign({ type, to, payload, hybrid }: Unsigned): Signed {
    const { identity, mlDsa, now } = this.#parts;
    const id = randomUUID();
    const timestamp = now();
    // The payload travels in the very form that is signed, so it is written once.
    const canonical = canonicalPayload(payload);
    const bytes = Buffer.from(signedText({ id, type, from: this.id, to, timestamp }, canonical));
    const signature = signBytes(identity, bytes).toString('base64');
    const sigPq = hybrid && mlDsa !== undefined ? `,"sigPq":"${sign(null, bytes, mlDsa).toString('base64')}"` : '';
    const head = `{"version":${VOLE_VERSION},"id":"${id}","type":"${type}","from":"${this.id}","to":"${to}"`;
    const text = `${head},"timestamp":${timestamp},"signature":"${signature}"${sigPq},"payload":${canonical === '' ? 'null' : canonical}}`;
    const size = Buffer.byteLength(text);
    if (size > VOLE_MESSAGE_BYTES_MAX) {
      throw new SkeinError(`A ${type} message of ${size} bytes is over the ${VOLE_MESSAGE_BYTES_MAX} a VoleNet peer takes`, {
        code: 'too-large',
      });
    }
    return { id, text };
  }
}

/** What a signature is checked against. */
export interface SignedMessage {
  readonly bytes: Buffer;
  readonly signature: string;
  readonly sigPq: string | undefined;
}

/** True when the Ed25519 signature is this key's over exactly these bytes. */
export function verifySignature(identity: PublicIdentity, { bytes, signature }: SignedMessage): boolean {
  const decoded = decodeBase64(signature);
  return decoded !== undefined && verifyBytes(identity, bytes, decoded);
}

/** True when there is an ML-DSA signature and it is this key's over exactly these bytes. */
export function verifyHybrid(key: KeyObject, { bytes, sigPq }: SignedMessage): boolean {
  const signature = sigPq === undefined ? undefined : decodeBase64(sigPq);
  return signature?.length === ML_DSA_SIGNATURE_BYTES && verify(null, bytes, key, signature);
}

/** Only the one form that is written: Node’s decoder passes over much. */
function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
