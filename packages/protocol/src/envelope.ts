import { SkeinError } from './errors.ts';

/** Version of the envelope; the first byte of every message. */
export const ENVELOPE_VERSION = 1;
/** Bytes in front of a message's body. */
export const HEADER_BYTES = 136;
/** Bytes of the part every message of one direction of a session shares: sender, recipient, session. */
export const ROUTE_BYTES = 80;

/** What a message is. The numbers stand on the wire. */
export const MESSAGE_TYPE = {
  /** Opens a call. Body: `{"method","params"}`. */
  request: 1,
  /** Ends a call well. Body: the method's result. */
  result: 2,
  /** Ends a call badly, or refuses a publication. Body: `{"code","message","retryAfterMs"?}`. */
  error: 3,
  /** A piece of a streamed answer. Body: the method's part. */
  part: 4,
  /** The caller wants no answer any more. No body. */
  cancel: 5,
  /** The caller has room for so many more bytes of parts. Body: a whole number. */
  credit: 6,
  /** A request that expects no answer. Body: `{"method","params"}`. */
  publish: 7,
  /** Are you there? Body: the sender's last measured round trip in ms, or null. Answered by a pong with the same call. */
  ping: 8,
  pong: 9,
  /** The sender closes the session and says why. Body: `{"code","message"}`. */
  goodbye: 10,
} as const;

export type MessageType = (typeof MESSAGE_TYPE)[keyof typeof MESSAGE_TYPE];

/** Which of a sender's queues a message leaves by: `control` first, `bulk` last. */
export const PRIORITY = { control: 0, interactive: 1, bulk: 2 } as const;
export type Priority = keyof typeof PRIORITY;
const PRIORITIES: readonly Priority[] = ['control', 'interactive', 'bulk'];

/** The fields of one message's header that differ within a session. */
export interface MessageHeader {
  readonly type: MessageType;
  readonly priority: Priority;
  readonly sequence: number;
  /** The sender's clock, epoch ms. */
  readonly timeMs: number;
  /** What is left of the call's time when it was sent, in ms; 0 when the call has no deadline. */
  readonly budgetMs: number;
  /** The number the caller gave the call this message belongs to; 0 when it belongs to none. */
  readonly call: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

const TYPE_MIN = MESSAGE_TYPE.request;
const TYPE_MAX = MESSAGE_TYPE.goodbye;
const TRACE = { offset: 120, bytes: 16 };

/** Bytes 8 to 88 of every message from `sender` to `recipient` in one session. */
export function createRoute(sender: Uint8Array, recipient: Uint8Array, session: Uint8Array): Buffer {
  if (sender.length + recipient.length + session.length !== ROUTE_BYTES)
    throw new SkeinError('A route is two ids of 32 bytes and a session of 16', { code: 'internal' });
  // By alloc: what is kept as long as a session must not hold a slab of the pool.
  const route = Buffer.alloc(ROUTE_BYTES);
  route.set(sender);
  route.set(recipient, sender.length);
  route.set(session, sender.length + recipient.length);
  return route;
}

/** A message as its sender hands it to a frame. */
export interface OutgoingMessage {
  readonly type: MessageType;
  readonly priority: Priority;
  /** Milliseconds left of the call's time; 0 for a call without a deadline. */
  readonly budgetMs: number;
  readonly call: number;
  /** 16 bytes that say to which work it belongs, across hops. */
  readonly trace?: Uint8Array | undefined;
  readonly body: string;
  /** Length of the body in UTF-8. */
  readonly bodyBytes: number;
}

/** A message's header and body written at `at`, where the caller made room for HEADER_BYTES and the body. */
export function writeMessage(
  target: Buffer,
  at: number,
  route: Buffer,
  message: OutgoingMessage,
  stamp: { readonly sequence: number; readonly timeMs: number },
): void {
  target[at] = ENVELOPE_VERSION;
  target[at + 1] = message.type;
  target[at + 2] = PRIORITY[message.priority];
  target[at + 3] = 0;
  target.writeUInt32BE(message.bodyBytes, at + 4);
  target.set(route, at + 8);
  writeUint64(target, stamp.sequence, at + 88);
  writeUint64(target, stamp.timeMs, at + 96);
  target.writeUInt32BE(message.budgetMs, at + 104);
  target.writeUInt32BE(0, at + 108);
  writeUint64(target, message.call, at + 112);
  if (message.trace === undefined) target.fill(0, at + TRACE.offset, at + HEADER_BYTES);
  else target.set(message.trace, at + TRACE.offset);
  if (message.bodyBytes > 0) target.write(message.body, at + HEADER_BYTES, message.bodyBytes, 'utf8');
}

/**
 * The header of the message that begins at `at`, checked for form and for its route: it must be from this peer, to
 * this node, in this session.
 * @throws SkeinError `invalid`, or `denied` for a message of another session or to another node.
 */
export function parseHeader(source: Buffer, at: number, route: Buffer): MessageHeader {
  if (source.length - at < HEADER_BYTES) throw new SkeinError('A message ends inside its header', { code: 'invalid' });
  if (source[at] !== ENVELOPE_VERSION) {
    throw new SkeinError(`A message has version ${source[at]}, this node speaks ${ENVELOPE_VERSION}`, { code: 'unsupported' });
  }
  const type = source[at + 1] ?? 0;
  if (type < TYPE_MIN || type > TYPE_MAX) throw new SkeinError(`There is no message type ${type}`, { code: 'invalid' });
  const priority = PRIORITIES[source[at + 2] ?? 0];
  if (priority === undefined || source[at + 3] !== 0 || source.readUInt32BE(at + 108) !== 0) {
    throw new SkeinError('A message has an unknown priority or a reserved byte set', { code: 'invalid' });
  }
  const bodyStart = at + HEADER_BYTES;
  const bodyEnd = bodyStart + source.readUInt32BE(at + 4);
  if (bodyEnd > source.length) throw new SkeinError('A message ends inside its body', { code: 'invalid' });
  if (source.compare(route, 0, ROUTE_BYTES, at + 8, at + 8 + ROUTE_BYTES) !== 0) {
    throw new SkeinError('A message is not from this peer to this node in this session', { code: 'denied' });
  }
  return {
    // Proven: between the least and the greatest number of MESSAGE_TYPE, which has no gaps.
    type: type as MessageType,
    priority,
    sequence: readUint64(source, at + 88),
    timeMs: readUint64(source, at + 96),
    budgetMs: source.readUInt32BE(at + 104),
    call: readUint64(source, at + 112),
    bodyStart,
    bodyEnd,
  };
}

/** The trace id of a message: 16 bytes, or undefined when it has none. */
export function traceOf(source: Buffer, bodyStart: number): Uint8Array | undefined {
  const trace = source.subarray(bodyStart - TRACE.bytes, bodyStart);
  return trace.some((byte) => byte !== 0) ? Uint8Array.from(trace) : undefined;
}

function writeUint64(target: Buffer, value: number, at: number): void {
  target.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  target.writeUInt32BE(value >>> 0, at + 4);
}

function readUint64(source: Buffer, at: number): number {
  const value = source.readUInt32BE(at) * 0x1_0000_0000 + source.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw new SkeinError('A number in a message is above 2^53', { code: 'invalid' });
  return value;
}
