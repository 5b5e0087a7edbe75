import { createHash, hash } from 'node:crypto';
import { SkeinError } from './errors.ts';
import { type HybridTime, parseHybridTime } from './hybrid-time.ts';
import { type PeerId, peerIdOf } from './ids.ts';
import { type Identity, type PublicIdentity, publicIdentity, signBytes, verifyBytes } from './keys.ts';

/** Bytes of an operation's head. */
export const OPERATION_HEAD_BYTES = 188;
/** Bytes of an operation's body. */
export const OPERATION_BODY_BYTES_MAX = 400_000;
/** An operation whose clock is further in the future than this is refused. */
export const OPERATION_AHEAD_MAX_MS = 5_000;

/** What an operation belongs to, and the byte that says so. */
export const OPERATION_LOGS = { memory: 1, sessions: 2 } as const;
export type OperationLogName = keyof typeof OPERATION_LOGS;

const VERSION = 1;
const DOMAIN = Buffer.from('skein operation 1\n', 'ascii');
const SIGNATURE_END = 64;

/** The parts of a head, see PROTOCOL.md, "Operations". */
export interface OperationHead {
  readonly log: OperationLogName;
  readonly author: PeerId;
  /** Raw Ed25519 public key of the author. */
  readonly authorKey: Uint8Array;
  /** Which of the author's chains, 16 hex digits: one for each store it ever began. */
  readonly replica: string;
  /** 1 for the first operation of the chain. */
  readonly seq: number;
  readonly time: HybridTime;
  /** Digest of the operation before it in the chain; zeros for the first. */
  readonly previous: Buffer;
  readonly bodyDigest: Buffer;
  /** SHA-256 of all but the signature: names exactly this operation. */
  readonly digest: Buffer;
  /** The whole head, as it was signed and as it is passed on. */
  readonly bytes: Buffer;
}

export interface OperationFields {
  readonly log: OperationLogName;
  readonly replica: string;
  readonly seq: number;
  readonly time: HybridTime;
  readonly previous: Uint8Array;
  /** JSON; its UTF-8 bytes are what is signed. */
  readonly body: string;
}

/** The digest that the first operation of a chain names as the one before it. */
export const NO_OPERATION = Buffer.alloc(32);

/** A signed operation by this identity. @throws SkeinError `too-large` for a body above the bound. */
export function sealOperation(identity: Identity, fields: OperationFields): OperationHead {
  const bodyBytes = Buffer.byteLength(fields.body);
  if (bodyBytes > OPERATION_BODY_BYTES_MAX) {
    throw new SkeinError(`An operation of ${bodyBytes} bytes is over the ${OPERATION_BODY_BYTES_MAX} that are shared`, {
      code: 'too-large',
    });
  }
  const bytes = Buffer.alloc(OPERATION_HEAD_BYTES);
  bytes[64] = VERSION;
  bytes[65] = OPERATION_LOGS[fields.log];
  bytes.set(identity.bytes, 68);
  bytes.write(fields.replica, 100, 8, 'hex');
  bytes.writeBigUInt64BE(BigInt(fields.seq), 108);
  bytes.write(fields.time, 116, 8, 'hex');
  bytes.set(fields.previous, 124);
  bytes.set(hash('sha256', fields.body, 'buffer'), 156);
  bytes.set(signBytes(identity, signedText(bytes)), 0);
  return parseOperationHead(bytes);
}

/** Reads a head; its signature is not looked at. @throws SkeinError `invalid`. */
export function parseOperationHead(bytes: Buffer): OperationHead {
  if (bytes.length !== OPERATION_HEAD_BYTES) throw malformed(`it has ${bytes.length} bytes, not ${OPERATION_HEAD_BYTES}`);
  if (bytes[64] !== VERSION) throw malformed(`its version is ${bytes[64]}, not ${VERSION}`);
  const log = bytes[65] === OPERATION_LOGS.memory ? 'memory' : bytes[65] === OPERATION_LOGS.sessions ? 'sessions' : undefined;
  if (log === undefined || bytes.readUInt16BE(66) !== 0) throw malformed('its log or reserved bytes are not known');
  const seq = Number(bytes.readBigUInt64BE(108));
  if (!Number.isSafeInteger(seq) || seq < 1) throw malformed('its sequence is out of range');
  const authorKey = bytes.subarray(68, 100);
  return {
    log,
    author: peerIdOf(authorKey),
    authorKey,
    replica: bytes.toString('hex', 100, 108),
    seq,
    time: parseHybridTime(bytes.toString('hex', 116, 124)),
    previous: bytes.subarray(124, 156),
    bodyDigest: bytes.subarray(156, 188),
    digest: createHash('sha256').update(bytes.subarray(SIGNATURE_END)).digest(),
    bytes,
  };
}

/** Whether the author signed exactly this head. `author` spares making the key again for each of many. */
export function verifyOperation(head: OperationHead, author: PublicIdentity = publicIdentity(head.authorKey)): boolean {
  return author.id === head.author && verifyBytes(author, signedText(head.bytes), head.bytes.subarray(0, SIGNATURE_END));
}

/** Whether this is the body the head speaks of. */
export function isBodyOf(head: OperationHead, body: string): boolean {
  return hash('sha256', body, 'buffer').equals(head.bodyDigest);
}

function signedText(bytes: Buffer): Buffer {
  return Buffer.concat([DOMAIN, bytes.subarray(SIGNATURE_END)]);
}

function malformed(why: string): SkeinError {
  return new SkeinError(`Not an operation: ${why}`, { code: 'invalid' });
}
