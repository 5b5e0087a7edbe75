import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import { type PublicIdentity, parseKeyLine, parseName, SkeinError } from '@skein/protocol';

declare const brand: unique symbol;

/** A VoleNet instance id: 16 hex digits that follow from the key. Short, so it only ever names a key, never proves one. */
export type VoleId = string & { readonly [brand]: 'VoleId' };

const VOLE_ID = /^[0-9a-f]{16}$/;
const NAME_CHARS_MAX = 64;

/** A key line of VoleNet: the identity, and what else the line holds. */
export interface VoleLine {
  readonly identity: PublicIdentity;
  readonly id: VoleId;
  /** A label, made to fit what we call a name. */
  readonly name: string;
  /** base64 of the SubjectPublicKeyInfo of the ML-DSA-65 key that stands behind the name. */
  readonly mlDsa?: string;
}

/** The VoleId of a key: from the base64 text of its SubjectPublicKeyInfo, not from the key's bytes. */
export function voleIdOf(identity: PublicIdentity): VoleId {
  // Proven: 16 hex digits.
  return hash('sha256', spkiBase64(identity.key), 'hex').slice(0, 16) as VoleId;
}

/** True for 16 lower-case hex digits. */
export function isVoleId(text: string): text is VoleId {
  return VOLE_ID.test(text);
}

/** Our public line as a VoleNet node reads it; the ML-DSA key, when there is one, is the fourth word. */
export function formatVoleLine(identity: PublicIdentity, name: string, mlDsa?: KeyObject): string {
  const line = `vole-ed25519 ${spkiBase64(identity.key)} ${parseName(name)}`;
  return mlDsa === undefined ? line : `${line} ${spkiBase64(mlDsa)}`;
}

/**
 * Reads `vole-ed25519 <base64> <name> [<base64>]`, as strict as its writer is not: names are free there, so one that is
 * no name here becomes one. The last word is the ML-DSA-65 key if it is one; a broken one is left out.
 * @throws SkeinError `invalid`.
 */
export function parseVoleLine(line: string): VoleLine {
  const [kind, key = '', ...words] = line.trim().split(/\s+/);
  if (kind !== 'vole-ed25519') {
    throw new SkeinError(`A VoleNet key line starts with "vole-ed25519", not "${(kind ?? '').slice(0, 40)}"`, {
      code: 'invalid',
    });
  }
  const { identity } = parseKeyLine(`${kind} ${key}`);
  const id = voleIdOf(identity);
  const last = words.length > 1 ? words.at(-1) : undefined;
  const mlDsa = last !== undefined && mlDsaKey(last) !== undefined ? { mlDsa: last } : {};
  // There, a name may have spaces, though its own reader takes the second word for a key.
  const name = words.filter((word) => word.length <= NAME_CHARS_MAX).join(' ');
  return { identity, id, name: asName(name, id), ...mlDsa };
}

/** An ML-DSA-65 public key from its base64 SubjectPublicKeyInfo; undefined when it is none. */
export function mlDsaKey(base64: string): KeyObject | undefined {
  return publicKeyOf(base64, 'ml-dsa-65');
}

/** A public key of one type from its base64 SubjectPublicKeyInfo; undefined when it is none. */
export function publicKeyOf(base64: string, type: 'ml-dsa-65' | 'ml-kem-768' | 'x25519'): KeyObject | undefined {
  const der = Buffer.from(base64, 'base64');
  if (der.toString('base64') !== base64) return undefined;
  try {
    const key = createPublicKey({ key: der, type: 'spki', format: 'der' });
    return key.asymmetricKeyType === type ? key : undefined;
  } catch {
    return undefined;
  }
}

/** The base64 of a public key's SubjectPublicKeyInfo, as keys stand everywhere in VoleNet. */
export function spkiBase64(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** A free-form label as a name: what a name may not hold becomes a dash. */
export function asName(text: string, fallback: string): string {
  const fitted = text
    .replace(/[^a-zA-Z0-9._-]+/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '')
    .slice(0, NAME_CHARS_MAX);
  return fitted === '' ? fallback.slice(0, 8) : fitted;
}
