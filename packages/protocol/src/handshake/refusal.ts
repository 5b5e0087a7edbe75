import { type ErrorCode, SkeinError } from '../errors.ts';
import type { CipherState } from '../noise/cipher-state.ts';
import { HANDSHAKE_MESSAGE } from './messages.ts';

/** Whom a refusal is about. */
export interface RefusalContext {
  /** The key line that the side which refuses would have to trust. */
  readonly keyLine: string;
  /** Whether this side dialled. */
  readonly initiator: boolean;
}

interface RefusalRow {
  readonly byte: number;
  readonly error: ErrorCode;
  /** What the side that refuses writes in its log; the key line is the other side's. */
  readonly told: (context: RefusalContext) => string;
  /** What the side that was refused shows; the key line is its own. Never a text from the wire. */
  readonly heard: (context: RefusalContext) => string;
}

/** Why a handshake may be refused: the closed set. Only the code travels, each side has its own words for it. */
export const REFUSALS = {
  malformed: {
    byte: 1,
    error: 'invalid',
    told: () => 'The other side sent a handshake message that cannot be',
    heard: () => 'The other side could not read our handshake; check that the address leads to a Skein node',
  },
  version: {
    byte: 2,
    error: 'unsupported',
    told: () => 'The other side speaks another version of the session protocol; bring both nodes to the same version',
    heard: () => 'The other side speaks another version of the session protocol; bring both nodes to the same version',
  },
  busy: {
    byte: 3,
    error: 'busy',
    told: () => 'Too many handshakes at once; the other side was asked to come back later',
    heard: () => 'The other side has too many connections at the moment; it is tried again later',
  },
  unauthenticated: {
    byte: 4,
    error: 'unauthenticated',
    told: () => 'The other side did not prove its key: something between the two nodes changes or replays messages',
    heard: () => 'The other side could not verify our key: something between the two nodes changes or replays messages',
  },
  'wrong-recipient': {
    byte: 5,
    error: 'unauthenticated',
    told: ({ keyLine }) =>
      `Another node answered than expected, with the key "${keyLine}". If the node got a new key, forget the old one first`,
    heard: () => 'The other side expected another key at this address; its address book is out of date or wrong',
  },
  self: {
    byte: 6,
    error: 'conflict',
    told: () => "This node's own key answered: the address is this node's own, or its key was copied to another machine",
    heard: () => "The other side has this node's own key: the address is this node's own, or the key was copied",
  },
  untrusted: {
    byte: 7,
    error: 'denied',
    told: (context) => `${subject(context)} is not trusted. To trust it run: ${trustCommand(context)}`,
    heard: (context) => `The other side does not trust this node's key. On the other machine run: ${trustCommand(context)}`,
  },
  revoked: {
    byte: 8,
    error: 'denied',
    told: (context) => `${subject(context)} was revoked here. To trust it again run: ${trustCommand(context)}`,
    heard: (context) =>
      `The other side revoked this node's key. To undo that, run on the other machine: ${trustCommand(context)}`,
  },
  'invite-invalid': {
    byte: 9,
    error: 'denied',
    told: () => 'A node asked to join with an invitation that is unknown, expired or used',
    heard: () => 'The invitation is unknown there, expired or used. Make a new one on the other machine: skein invite',
  },
  unavailable: {
    byte: 10,
    error: 'unavailable',
    told: () => 'The handshake could not be answered because of a fault on this side; its log says what',
    heard: () => 'The other side could not answer because of a fault of its own; its log says what',
  },
} as const satisfies Record<string, RefusalRow>;

export type RefusalCode = keyof typeof REFUSALS;

/** A refusal as it travels. */
export interface Refusal {
  readonly code: RefusalCode;
  /** When to come back, 0 for not said. */
  readonly retryAfterMs: number;
}

const CLEAR = Buffer.of(HANDSHAKE_MESSAGE.refusal, 0);
const SEALED = Buffer.of(HANDSHAKE_MESSAGE.refusal, 1);
const MAX_UINT32 = 0xffff_ffff;

/** The refusal as a message: sealed when there is a cipher, else in the clear. */
export function formatRefusal(refusal: Refusal, cipher: CipherState | undefined): Buffer {
  const body = Buffer.alloc(5);
  body.writeUInt8(REFUSALS[refusal.code].byte, 0);
  body.writeUInt32BE(Math.min(Math.max(0, Math.trunc(refusal.retryAfterMs)), MAX_UINT32), 1);
  return cipher === undefined ? Buffer.concat([CLEAR, body]) : cipher.seal(SEALED, body);
}

/**
 * Reads a message of type refusal.
 * @throws SkeinError `invalid` or `unauthenticated` when it is none, or is sealed and there is no cipher.
 */
export function parseRefusal(bytes: Buffer, cipher: CipherState | undefined): Refusal {
  const sealed = bytes[1] === 1;
  if (bytes[1] !== 0 && !(sealed && cipher !== undefined)) {
    throw new SkeinError('A handshake refusal cannot be read', { code: 'invalid' });
  }
  const body = sealed && cipher !== undefined ? cipher.open(bytes, SEALED.length) : bytes.subarray(CLEAR.length);
  const row = Object.entries(REFUSALS).find(([, { byte }]) => byte === body[0]);
  if (body.length !== 5 || row === undefined) {
    throw new SkeinError('A handshake refusal gives no known reason', { code: 'invalid' });
  }
  // Proven: the entries of REFUSALS have its keys.
  return { code: row[0] as RefusalCode, retryAfterMs: body.readUInt32BE(1) };
}

/**
 * Why the other side refused the session, where its first record is a refusal instead: what an initiator says that does
 * not want whom the welcome is from. Undefined for any other record. One in the clear does not count, as it may come from
 * anybody on the way.
 * @throws SkeinError `invalid` or `unauthenticated` for a refusal that is not to be believed.
 */
export function openLateRefusal(record: Buffer, cipher: CipherState, keyLine: string): SkeinError | undefined {
  if (record[0] !== HANDSHAKE_MESSAGE.refusal) return undefined;
  if (record[1] !== SEALED[1]) {
    throw new SkeinError('A refusal came in the clear, as anybody on the way could send it', { code: 'invalid' });
  }
  return refusalHeard(parseRefusal(record, cipher), { keyLine, initiator: false });
}

/** The error of the side that was refused. */
export function refusalHeard({ code, retryAfterMs }: Refusal, context: RefusalContext): SkeinError {
  const row = REFUSALS[code];
  return new SkeinError(row.heard(context), { code: row.error, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) });
}

/** The error of the side that refuses. */
export function refusalTold(code: RefusalCode, context: RefusalContext, cause?: unknown): SkeinError {
  const row = REFUSALS[code];
  return new SkeinError(row.told(context), { code: row.error, ...(cause === undefined ? {} : { cause }) });
}

function subject({ initiator }: RefusalContext): string {
  return initiator ? 'The key of the node that answered' : 'The key of a node that asked to connect';
}

/** Names the level: without one it is the least, and one that was revoked had another. */
function trustCommand({ keyLine }: RefusalContext): string {
  return `skein net trust "${keyLine}" --level tool (or: full, read)`;
}
