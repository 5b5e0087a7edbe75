import { hash } from 'node:crypto';
import { formatBase32, parseBase32 } from './base32.ts';
import { SkeinError } from './errors.ts';

declare const brand: unique symbol;

/** A node's identity: base32 of the SHA-256 of its raw 32-byte Ed25519 public key; 52 characters. */
export type PeerId = string & { readonly [brand]: 'PeerId' };

/** The PeerId of a raw 32-byte Ed25519 public key. */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  // Proven: the base32 of 32 bytes is exactly what parsePeerId accepts.
  return formatBase32(hash('sha256', publicKey, 'buffer')) as PeerId;
}

/** @throws SkeinError `invalid` when the text is not 52 characters of base32. */
export function parsePeerId(text: string): PeerId {
  if (text.length !== 52 || parseBase32(text) === undefined) {
    throw new SkeinError(`"${text.slice(0, 60)}" is not a peer id: expected 52 characters of base32 (a-z, 2-7)`, {
      code: 'invalid',
    });
  }
  return text as PeerId; // Proven by the line above.
}

/** The 32 bytes behind a PeerId, as they stand in an envelope. */
export function peerIdBytes(id: PeerId): Uint8Array {
  const bytes = parseBase32(id);
  if (bytes === undefined) throw new SkeinError(`"${id}" is not a peer id`, { code: 'invalid' });
  return bytes;
}

/** The first characters of an id: for people to read, never to compare or decide by. */
export function shortPeerId(id: PeerId): string {
  return id.slice(0, 8);
}
