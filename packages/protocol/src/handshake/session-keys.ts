import { createHmac, hkdfSync } from 'node:crypto';
import type { PeerId } from '../ids.ts';
import { peerIdBytes } from '../ids.ts';
import { CipherState, KEY_BYTES } from '../noise/cipher-state.ts';

/** Bytes of a session id. */
const SESSION_ID_BYTES = 16;

const KEYS_INFO = Buffer.from('skein session 1 keys', 'ascii');
const PROOF = {
  initiator: Buffer.from('skein session 1 initiator\0', 'ascii'),
  responder: Buffer.from('skein session 1 responder\0', 'ascii'),
} as const;
const INVITE = Buffer.from('skein session 1 invite\0', 'ascii');

/** What the keys of a session are made of. */
export interface SessionSecrets {
  /** Noise's Split, raw: initiator to responder, then responder to initiator. */
  readonly split: readonly [Uint8Array, Uint8Array];
  /** The ML-KEM-768 shared secret. */
  readonly kemSecret: Uint8Array;
  /** Noise's final handshake hash. */
  readonly handshakeHash: Uint8Array;
}

/** The two ciphers of a session, and its id. */
export interface SessionKeys {
  readonly initiatorToResponder: CipherState;
  readonly responderToInitiator: CipherState;
  readonly sessionId: Buffer;
}

/** HKDF-SHA256 (RFC 5869) with ikm = split || KEM secret, salt = handshake hash: who lacks any of them has no key. */
export function deriveSessionKeys({ split, kemSecret, handshakeHash }: SessionSecrets): SessionKeys {
  const input = Buffer.concat([split[0], split[1], kemSecret]);
  const output = Buffer.from(hkdfSync('sha256', input, handshakeHash, KEYS_INFO, 2 * KEY_BYTES + SESSION_ID_BYTES));
  input.fill(0);
  // By alloc: what is kept as long as a session must not hold a slab of the pool.
  const sessionId = Buffer.alloc(SESSION_ID_BYTES);
  output.copy(sessionId, 0, 2 * KEY_BYTES);
  const keys = {
    initiatorToResponder: new CipherState(output.subarray(0, KEY_BYTES)),
    responderToInitiator: new CipherState(output.subarray(KEY_BYTES, 2 * KEY_BYTES)),
    sessionId,
  };
  output.fill(0);
  return keys;
}

/** What an Ed25519 identity signs to prove itself: role, transcript, own id, and whom the proof is for. */
export function proofBytes(role: 'initiator' | 'responder', transcriptHash: Uint8Array, own: PeerId, other: PeerId): Buffer {
  return Buffer.concat([PROOF[role], transcriptHash, peerIdBytes(own), peerIdBytes(other)]);
}

/** What an invitation's secret authenticates: this very handshake between these two. */
export function inviteBinding(transcriptHash: Uint8Array, initiator: PeerId, responder: PeerId): Buffer {
  return Buffer.concat([INVITE, transcriptHash, peerIdBytes(initiator), peerIdBytes(responder)]);
}

/** HMAC-SHA256 of an invite binding, 32 bytes. */
export function inviteMac(secret: Uint8Array, binding: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(binding).digest();
}
