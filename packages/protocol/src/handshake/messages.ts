import { SkeinError } from '../errors.ts';
import { SIGNATURE_BYTES } from '../keys.ts';
import { HELLO_BYTES_MAX } from '../limits.ts';
import { TAG_BYTES } from '../noise/cipher-state.ts';
import { DH_BYTES } from '../noise/x25519.ts';
import { KEM_CIPHERTEXT_BYTES, KEM_PUBLIC_BYTES } from './kem.ts';

/** The version of the session protocol, as it stands in an init. */
export const SESSION_VERSION = 1;
/** Noise's prologue: both sides must speak the same protocol. */
export const SESSION_PROLOGUE = Buffer.from('skein session 1', 'ascii');

/** First byte of each handshake message. */
export const HANDSHAKE_MESSAGE = { init: 1, response: 2, finish: 3, welcome: 4, cookie: 5, refusal: 6 } as const;

/** Bytes of a raw Ed25519 public key. */
export const IDENTITY_BYTES = 32;
/** Bytes of a cookie. */
export const COOKIE_BYTES = 32;

/** Whole lengths, type byte included, of the messages whose length is fixed. */
const INIT_BYTES = 1 + DH_BYTES + 1 + KEM_PUBLIC_BYTES;
const RESPONSE_BYTES = 1 + DH_BYTES + DH_BYTES + TAG_BYTES + KEM_CIPHERTEXT_BYTES + IDENTITY_BYTES + TAG_BYTES;
const FINISH_BYTES = 1 + DH_BYTES + TAG_BYTES + IDENTITY_BYTES + SIGNATURE_BYTES + TAG_BYTES;
const WELCOME_BYTES = 1 + SIGNATURE_BYTES + TAG_BYTES;
const REFUSAL_BODY_BYTES = 5;
const LENGTHS: Record<keyof typeof HANDSHAKE_MESSAGE, readonly [number, number]> = {
  init: [INIT_BYTES, INIT_BYTES + COOKIE_BYTES],
  response: [RESPONSE_BYTES, RESPONSE_BYTES],
  finish: [FINISH_BYTES, FINISH_BYTES + HELLO_BYTES_MAX],
  welcome: [WELCOME_BYTES, WELCOME_BYTES + HELLO_BYTES_MAX],
  cookie: [1 + COOKIE_BYTES, 1 + COOKIE_BYTES],
  refusal: [2 + REFUSAL_BODY_BYTES, 2 + REFUSAL_BODY_BYTES + TAG_BYTES],
};

/** What an init carries beside its ephemeral key. */
export interface InitFields {
  /** The ephemeral X25519 key, raw; what a cookie is bound to. */
  readonly ephemeral: Uint8Array;
  readonly kemPublic: Uint8Array;
  readonly cookie: Uint8Array | undefined;
}

/**
 * The kind of a message, its length checked.
 * @throws SkeinError `invalid` unless it is one of `awaited`.
 */
export function kindOf<K extends keyof typeof HANDSHAKE_MESSAGE>(bytes: Uint8Array, awaited: readonly K[]): K {
  const kind = awaited.find((name) => HANDSHAKE_MESSAGE[name] === bytes[0]);
  if (kind === undefined) {
    throw new SkeinError(`A handshake message of type ${bytes[0] ?? 'none'} came where ${awaited.join(' or ')} was due`, {
      code: 'invalid',
    });
  }
  const [least, most] = LENGTHS[kind];
  if (bytes.length < least || bytes.length > most) {
    throw new SkeinError(`A handshake ${kind} of ${bytes.length} bytes cannot be`, { code: 'invalid' });
  }
  return kind;
}

/** The payload of an init. */
export function formatInitPayload(kemPublic: Uint8Array, cookie: Uint8Array | undefined): Buffer {
  return Buffer.concat([Buffer.of(SESSION_VERSION), kemPublic, cookie ?? Buffer.alloc(0)]);
}

/**
 * The version an init asks for, wherever it is long enough to hold one: later versions keep the byte in this place and
 * may have another length.
 */
export function initVersion(bytes: Uint8Array): number | undefined {
  return bytes[0] === HANDSHAKE_MESSAGE.init ? bytes[1 + DH_BYTES] : undefined;
}

/** @throws SkeinError `invalid` when the length is neither that with nor that without a cookie. */
export function parseInit(bytes: Uint8Array): InitFields {
  if (bytes.length !== INIT_BYTES && bytes.length !== INIT_BYTES + COOKIE_BYTES) {
    throw new SkeinError(`A handshake init of ${bytes.length} bytes cannot be`, { code: 'invalid' });
  }
  return {
    ephemeral: bytes.subarray(1, 1 + DH_BYTES),
    kemPublic: bytes.subarray(INIT_BYTES - KEM_PUBLIC_BYTES, INIT_BYTES),
    cookie: bytes.length === INIT_BYTES ? undefined : bytes.subarray(INIT_BYTES),
  };
}

/** The message with its type byte in front. */
export function frameMessage(kind: keyof typeof HANDSHAKE_MESSAGE, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(HANDSHAKE_MESSAGE[kind]), body]);
}
