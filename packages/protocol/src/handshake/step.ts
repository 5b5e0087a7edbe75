import type { SkeinError } from '../errors.ts';
import type { Identity, PublicIdentity } from '../keys.ts';
import type { CipherState } from '../noise/cipher-state.ts';
import { createX25519, type X25519KeyPair } from '../noise/x25519.ts';
import type { Hello, HelloFields } from './hello.ts';
import { createKemKeys, type Encapsulated, encapsulateTo, type KemKeyPair } from './kem.ts';
import type { RefusalCode } from './refusal.ts';

/** A finished handshake: who the other side is, proven, and the ciphers to talk to it. */
export interface Established {
  readonly peer: PublicIdentity;
  readonly hello: Hello;
  /** 16 bytes, the same on both sides. */
  readonly sessionId: Buffer;
  readonly send: CipherState;
  readonly receive: CipherState;
  /** The other side's wall clock less ours, measured; off by at most half of the round trip. */
  readonly clockOffsetMs: number;
  readonly initiator: boolean;
  /** How long the other side took to answer, its cryptography included; measured by the side that was dialled. */
  readonly roundTripMs?: number;
  /** Noise's final handshake hash, 32 bytes. */
  readonly handshakeHash: Buffer;
}

/** What to do after a message came in: send `send`, in every case; then go on, or take what was established, or close. */
export interface HandshakeStep {
  readonly send?: Buffer;
  readonly established?: Established;
  /** The handshake is over without a session: why, in words for this side. */
  readonly refused?: SkeinError;
  /** With `refused`: why, as a code. */
  readonly code?: RefusalCode;
}

/** May this peer, whose key is proven, have a session? */
export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly code: RefusalCode; readonly retryAfterMs?: number };

/**
 * Decides on a peer whose signature is verified. `binding` is what `hello.invite.mac` must be the `inviteMac` of. It
 * must not wait; a throw refuses the peer.
 */
export type Admit = (peer: PublicIdentity, hello: Hello, binding: Buffer) => Admission;

/** The randomness of a handshake, as a part. */
export interface HandshakeRandom {
  x25519(): X25519KeyPair;
  kemKeys(): KemKeyPair;
  encapsulate(publicBytes: Uint8Array): Encapsulated;
}

/** node:crypto's. */
export const systemHandshakeRandom: HandshakeRandom = {
  x25519: createX25519,
  kemKeys: createKemKeys,
  encapsulate: encapsulateTo,
};

/** What both sides of a handshake are made of. */
export interface HandshakeParts {
  readonly identity: Identity;
  /** The X25519 key of this process, made at its start with `createX25519`; identity is proven by signatures instead. */
  readonly staticKey: X25519KeyPair;
  readonly hello: HelloFields;
  /** `now` is the wall clock in epoch ms, `monotonicMs` never jumps. */
  readonly clock: { now(): number; monotonicMs(): number };
  readonly admit: Admit;
  readonly random?: HandshakeRandom;
}
