import { integerOf, textOf, type Writer } from '@skein/engine';
import {
  hybridMs,
  jsonWithin,
  OPERATION_BODY_BYTES_MAX,
  parseHybridTime,
  type SessionChange,
  SkeinError,
  sessionChange,
} from '@skein/protocol';
import type { Message } from '../brain/brain.ts';
import type { OperationLog } from '../sync/operation-log.ts';
import type { OperationStamp, OperationView } from '../sync/operation-view.ts';
import type { SessionEntry } from './session-entry.ts';
import { deleteBefore, insertMessage, signMessage } from './session-rows.ts';

const BODY_DEPTH = 72;
const BODY_VALUES = 100_000;
const SHORT_CHARS = 20_000;
const SHORT_CALLS = 256;
const LEFT_OUT = '[left out: too long to share]';
/** A hybrid time at the beginning of a place. */
const TIME_CHARS = 16;
/** Messages signed in one transaction when a store gets its log. */
const ADOPT_AT_ONCE = 256;

/**
 * Conversations as the sum of their operations. A message's place is the time at which its turn began, then its author:
 * so turns stand whole, one behind the other, in the same order wherever all of them are known.
 */
export class SessionView implements OperationView {
  readonly #log: OperationLog;
  readonly #maxSessions: number;

  constructor(parts: { readonly log: OperationLog; readonly maxSessions: number }) {
    this.#log = parts.log;
    this.#maxSessions = parts.maxSessions;
  }

  apply(writer: Writer, stamp: OperationStamp, body: string): 'kept' | 'erased' {
    const change = parseSessionChange(body);
    if (change === undefined) return 'kept';
    if (change.type === 'delete') {
      this.#raiseFloor(writer, change.session, stamp);
      return 'kept';
    }
    const { session: sessionId, turn = stamp.time, message, tainted } = change;
    // A turn cannot have begun after what was said in it.
    const began = turn < stamp.time ? parseHybridTime(turn) : stamp.time;
    const floor = writer.get('SELECT time FROM session_floors WHERE session_id = ?', sessionId);
    if (floor !== undefined && began < textOf(floor, 'time')) return 'erased';
    this.#assertRoom(writer, sessionId);
    insertMessage(writer, {
      sessionId,
      ...(stamp.isOwn ? { message, tainted } : fromOutside(message)),
      atMs: hybridMs(stamp.time),
      place: placeOf(stamp, began),
      dot: stamp.dot,
      author: stamp.isOwn ? null : stamp.author,
    });
    return 'kept';
  }

  /** Signs an entry of this node that comes after the message numbered `seq`; where it belongs. */
  sign(
    writer: Writer,
    at: { readonly sessionId: string; readonly seq: number; readonly atMs: number },
    entry: SessionEntry,
  ): { readonly place: string; readonly dot: string } {
    const turn = entry.message.role === 'user' ? undefined : this.#turnAt(writer, at.sessionId, at.seq);
    const change = (message: Message) =>
      JSON.stringify({
        type: 'entry',
        session: at.sessionId,
        ...(turn === undefined ? {} : { turn }),
        message,
        tainted: entry.tainted,
      });
    const whole = change(entry.message);
    const body = Buffer.byteLength(whole) > OPERATION_BODY_BYTES_MAX ? change(shortened(entry.message)) : whole;
    const stamp = this.#log.append(writer, body, { atMs: at.atMs });
    return { place: placeOf(stamp, turn ?? stamp.time), dot: stamp.dot };
  }

  /** Signs a page of the messages from before the log; how many that were. */
  adopt(writer: Writer): number {
    const rows = writer.all('SELECT * FROM messages WHERE dot IS NULL ORDER BY id LIMIT ?', ADOPT_AT_ONCE);
    for (const row of rows) {
      const at = { sessionId: textOf(row, 'session_id'), seq: integerOf(row, 'seq') - 1, atMs: integerOf(row, 'at_ms') };
      signMessage(writer, row, (entry) => this.sign(writer, at, entry));
    }
    return rows.length;
  }

  /** Deletes a conversation here, and wherever this is heard of. */
  delete(writer: Writer, sessionId: string): void {
    const body = JSON.stringify({ type: 'delete', session: sessionId } satisfies SessionChange);
    this.#raiseFloor(writer, sessionId, this.#log.append(writer, body));
  }

  /**
   * When the turn began that this node was in after the message numbered `seq`; undefined when it was in none. A turn that
   * was begun under another key goes on as one of its own, behind it: within one, the author decides what comes first.
   */
  #turnAt(writer: Writer, sessionId: string, seq: number): string | undefined {
    const row = writer.get(
      'SELECT place FROM messages WHERE session_id = ? AND author IS NULL AND seq <= ? ORDER BY seq DESC LIMIT 1',
      sessionId,
      seq,
    );
    const place = row === undefined ? '' : textOf(row, 'place');
    return place.startsWith(this.#log.self, TIME_CHARS) ? place.slice(0, TIME_CHARS) : undefined;
  }

  #raiseFloor(writer: Writer, sessionId: string, stamp: OperationStamp): void {
    writer.run(
      'INSERT INTO session_floors VALUES (?1, ?2) ON CONFLICT DO UPDATE SET time = max(time, ?2)',
      sessionId,
      stamp.time,
    );
    const gone = writer.all('SELECT dot FROM messages WHERE session_id = ? AND place < ?', sessionId, stamp.time);
    for (const row of gone) if (row.dot !== null) this.#log.erase(writer, textOf(row, 'dot'));
    deleteBefore(writer, sessionId, stamp.time);
  }

  /** A fifth is kept for this node's own: no number of peers can keep it from beginning a conversation. */
  #assertRoom(writer: Writer, sessionId: string): void {
    if (writer.get('SELECT 1 FROM sessions WHERE id = ?', sessionId) !== undefined) return;
    const row = writer.get('SELECT count(*) AS sessions FROM sessions');
    const room = this.#maxSessions - Math.floor(this.#maxSessions / 5);
    if (row === undefined || integerOf(row, 'sessions') < room) return;
    throw new SkeinError(`There are ${room} conversations, the most that peers may bring: delete some`, { code: 'busy' });
  }
}

function parseSessionChange(body: string): SessionChange | undefined {
  if (!jsonWithin(body, BODY_DEPTH, BODY_VALUES)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // Its author's own fault, and signed as it is: kept, and without effect.
    return undefined;
  }
  return sessionChange.safeParse(value).data;
}

/** What another node says was said: all of it may be anything, and a request that holds it is tainted. */
function fromOutside(message: Message): SessionEntry {
  return { message: message.role === 'tool' ? { ...message, untrusted: true } : message, tainted: true };
}

function placeOf(stamp: OperationStamp, began: string): string {
  return `${began}${stamp.author}${stamp.replica}${stamp.seq.toString(16).padStart(14, '0')}`;
}

/** The beginning of what is too long to be shared whole. */
function shortened(message: Message): Message {
  switch (message.role) {
    case 'user':
      return { ...message, text: message.text.slice(0, SHORT_CHARS) };
    case 'assistant': {
      const toolCalls = message.toolCalls.slice(0, SHORT_CALLS).map((call) => ({ ...call, input: LEFT_OUT }));
      return { ...message, text: message.text.slice(0, SHORT_CHARS), toolCalls };
    }
    case 'tool':
      return { ...message, output: LEFT_OUT };
  }
}
