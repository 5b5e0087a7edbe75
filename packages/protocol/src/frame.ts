import { hash, sign } from 'node:crypto';
import { createRoute, HEADER_BYTES, type MessageHeader, parseHeader, ROUTE_BYTES } from './envelope.ts';
import { SkeinError } from './errors.ts';
import { peerIdBytes } from './ids.ts';
import { type Identity, type PublicIdentity, SIGNATURE_BYTES, verifyBytes } from './keys.ts';
import { FRAME_MESSAGES_MAX } from './limits.ts';

/** Bytes in front of a frame's first message: signature and count. */
export const FRAME_HEADER_BYTES = SIGNATURE_BYTES + 2;

const DOMAIN = Buffer.from('skein frame 1\n');
const DIGEST_BYTES = 32;
const SEQUENCE_AT = DOMAIN.length + ROUTE_BYTES;
const DIGESTS_AT = SEQUENCE_AT + 8 + 2;

/** Where the messages of a frame lie in its plaintext, with the digest of each. */
export interface Frame {
  readonly messages: readonly MessageHeader[];
  /** The signed text: domain, route, first sequence, count, digests. */
  readonly signedText: Buffer;
}

/**
 * What makes one message verifiable by itself: the digests of the frame it left in, its place there, and the frame's
 * signature.
 */
export interface MessageProof {
  readonly digests: readonly Uint8Array[];
  readonly index: number;
  readonly signature: Uint8Array;
}

/**
 * Signs the messages that stand from FRAME_HEADER_BYTES on, `ends[i]` being the offset behind message i, and writes
 * signature and count in front of them.
 */
export function signFrame(
  plaintext: Buffer,
  ends: readonly number[],
  route: Buffer,
  firstSequence: number,
  identity: Identity,
): void {
  const text = createSignedText(route, firstSequence, ends.length);
  let start = FRAME_HEADER_BYTES;
  for (const [index, end] of ends.entries()) {
    writeDigest(text, index, plaintext.subarray(start, end));
    start = end;
  }
  plaintext.set(sign(null, text, identity.privateKey), 0);
  plaintext.writeUInt16BE(ends.length, SIGNATURE_BYTES);
}

/**
 * The messages of an opened frame: well-formed, routed from this peer to this node in this session, signed by this
 * peer, in sequence from `firstSequence` on. Bodies are not looked at.
 * @throws SkeinError `invalid`, `denied`, `unauthenticated` or `too-large`; the session must then end.
 */
export function parseFrame(plaintext: Buffer, route: Buffer, firstSequence: number, sender: PublicIdentity): Frame {
  if (plaintext.length < FRAME_HEADER_BYTES + HEADER_BYTES) throw new SkeinError('A frame is too short', { code: 'invalid' });
  const count = plaintext.readUInt16BE(SIGNATURE_BYTES);
  if (count === 0 || count > FRAME_MESSAGES_MAX) {
    throw new SkeinError(`A frame has 1 to ${FRAME_MESSAGES_MAX} messages, not ${count}`, { code: 'too-large' });
  }
  const signedText = createSignedText(route, firstSequence, count);
  const messages: MessageHeader[] = [];
  let start = FRAME_HEADER_BYTES;
  for (let index = 0; index < count; index += 1) {
    const header = parseHeader(plaintext, start, route);
    messages.push(header);
    writeDigest(signedText, index, plaintext.subarray(start, header.bodyEnd));
    start = header.bodyEnd;
  }
  if (start !== plaintext.length) throw new SkeinError('A frame has bytes behind its last message', { code: 'invalid' });
  if (!verifyBytes(sender, signedText, plaintext.subarray(0, SIGNATURE_BYTES))) {
    throw new SkeinError('The signature of a frame is not the sender’s', { code: 'unauthenticated' });
  }
  for (const [index, message] of messages.entries()) {
    if (message.sequence !== firstSequence + index) {
      throw new SkeinError(`Message ${message.sequence} came where ${firstSequence + index} was due`, { code: 'denied' });
    }
  }
  return { messages, signedText };
}

/** The proof of message `index` of a frame that parseFrame accepted. Copies; the frame's buffer may go. */
export function proveMessage(plaintext: Buffer, frame: Frame, index: number): MessageProof {
  const digests = frame.messages.map((_, place) =>
    Uint8Array.from(frame.signedText.subarray(DIGESTS_AT + place * DIGEST_BYTES, DIGESTS_AT + (place + 1) * DIGEST_BYTES)),
  );
  return { digests, index, signature: Uint8Array.from(plaintext.subarray(0, SIGNATURE_BYTES)) };
}

/**
 * Checks a message by itself: that `sender` signed exactly these bytes. Says nothing of freshness or of who should
 * have got it; the header in `message` does.
 */
export function verifyMessage(message: Buffer, proof: MessageProof, sender: PublicIdentity): boolean {
  const count = proof.digests.length;
  const own = proof.digests[proof.index];
  if (count === 0 || count > FRAME_MESSAGES_MAX || own === undefined || message.length < HEADER_BYTES) return false;
  const route = message.subarray(8, 8 + ROUTE_BYTES);
  if (!route.subarray(0, 32).equals(peerIdBytes(sender.id))) return false;
  let header: MessageHeader;
  try {
    header = parseHeader(message, 0, route);
  } catch {
    return false; // Malformed is not signed by anybody; there is nothing more to say of it.
  }
  const firstSequence = header.sequence - proof.index;
  if (header.bodyEnd !== message.length || firstSequence < 0 || !hash('sha256', message, 'buffer').equals(own)) return false;
  const text = createSignedText(route, firstSequence, count);
  for (const [index, digest] of proof.digests.entries()) {
    if (digest.length !== DIGEST_BYTES) return false;
    text.set(digest, DIGESTS_AT + index * DIGEST_BYTES);
  }
  return verifyBytes(sender, text, proof.signature);
}

/** The route of messages from one node to another in a session. */
export function routeBetween(sender: PublicIdentity, recipient: PublicIdentity, session: Uint8Array): Buffer {
  return createRoute(peerIdBytes(sender.id), peerIdBytes(recipient.id), session);
}

/** As a string of bytes and back: node:crypto makes that twice as fast as a buffer. */
function writeDigest(text: Buffer, index: number, message: Uint8Array): void {
  text.write(hash('sha256', message, 'binary'), DIGESTS_AT + index * DIGEST_BYTES, DIGEST_BYTES, 'latin1');
}

function createSignedText(route: Uint8Array, firstSequence: number, count: number): Buffer {
  const text = Buffer.allocUnsafe(DIGESTS_AT + count * DIGEST_BYTES);
  text.set(DOMAIN, 0);
  text.set(route, DOMAIN.length);
  text.writeUInt32BE(Math.floor(firstSequence / 0x1_0000_0000), SEQUENCE_AT);
  text.writeUInt32BE(firstSequence >>> 0, SEQUENCE_AT + 4);
  text.writeUInt16BE(count, SEQUENCE_AT + 8);
  return text;
}
