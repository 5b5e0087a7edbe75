import { integerOf, type Reader, type Row, rowChecksum, type SqlValue, textOf, verifyRow, type Writer } from '@skein/engine';
import { SkeinError } from '@skein/protocol';
import type { Message } from '../brain/brain.ts';
import { parseStoredMessage, type StoredEntry } from './session-entry.ts';
import { titleOf } from './session-title.ts';

/** Messages from its beginning in which a conversation's title is looked for. */
const TITLE_WITHIN = 4;
/** After every place. */
export const AFTER_ALL = '~';

/** A message with all that is kept of it. */
export interface MessageRow {
  readonly sessionId: string;
  readonly message: Message;
  readonly tainted: boolean;
  readonly atMs: number;
  /** Orders the messages of a conversation; the operation that wrote it. Both empty without a log. */
  readonly place: string;
  readonly dot: string | null;
  /** Null for this node's own. */
  readonly author: string | null;
}

/** Puts a message where it belongs in its conversation, which it may begin. */
export function insertMessage(writer: Writer, row: MessageRow): void {
  const { sessionId, message, atMs } = row;
  writer.run(
    'INSERT INTO sessions (id, title, updated_at_ms, last_seq, author) VALUES (?, ?, ?, 0, ?) ON CONFLICT DO NOTHING',
    sessionId,
    titleOf([message]),
    atMs,
    row.author,
  );
  const seq = lastSeqOf(writer, sessionId) + 1;
  const values = [sessionId, seq, atMs, row.tainted ? 1 : 0, JSON.stringify(message)] as const;
  const more = [row.place, row.dot, row.author] as const;
  writer.run(
    'INSERT INTO messages (session_id, seq, at_ms, tainted, body, place, dot, author, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ...values,
    ...more,
    rowChecksum(row.place === '' ? values : [...values, ...more]),
  );
  if (message.role !== 'tool' && message.text !== '') {
    writer.run('INSERT INTO message_search (rowid, text) VALUES (last_insert_rowid(), ?)', message.text.toWellFormed());
  }
  writer.run('UPDATE sessions SET last_seq = ?, updated_at_ms = max(updated_at_ms, ?) WHERE id = ?', seq, atMs, sessionId);
  const before = writer.all(
    'SELECT 1 FROM messages WHERE session_id = ? AND place < ? LIMIT ?',
    sessionId,
    row.place,
    TITLE_WITHIN,
  );
  if (before.length < TITLE_WITHIN && (row.place !== '' || seq <= TITLE_WITHIN)) retitle(writer, sessionId);
}

/** Gives a message that was there before the log the place that `sign` says. */
export function signMessage(
  writer: Writer,
  row: Row,
  sign: (entry: StoredEntry) => { readonly place: string; readonly dot: string },
): void {
  const before = checkedValues(row);
  const { place, dot } = sign(storedEntry(row));
  const values = [...before, place, dot, null];
  writer.run(
    'UPDATE messages SET place = ?, dot = ?, sum = ? WHERE id = ?',
    place,
    dot,
    rowChecksum(values),
    integerOf(row, 'id'),
  );
}

/** Deletes the messages placed before `place`, and the conversation when nothing is left of it. */
export function deleteBefore(writer: Writer, sessionId: string, place: string): void {
  const gone = 'FROM messages WHERE session_id = ? AND place < ?';
  writer.run(`DELETE FROM message_search WHERE rowid IN (SELECT id ${gone})`, sessionId, place);
  writer.run(`DELETE ${gone}`, sessionId, place);
  const rest = writer.all('SELECT * FROM messages WHERE session_id = ? ORDER BY seq', sessionId);
  if (rest.length === 0) {
    writer.run('DELETE FROM sessions WHERE id = ?', sessionId);
    return;
  }
  for (const [index, row] of rest.entries()) {
    const values = checkedValues(row).with(1, index + 1);
    const more = row.place === '' ? [] : [textOf(row, 'place'), row.dot ?? null, row.author ?? null];
    writer.run(
      'UPDATE messages SET seq = ?, sum = ? WHERE id = ?',
      index + 1,
      rowChecksum([...values, ...more]),
      integerOf(row, 'id'),
    );
  }
  writer.run('UPDATE sessions SET last_seq = ? WHERE id = ?', rest.length, sessionId);
  retitle(writer, sessionId);
}

/** Messages of a conversation, the last first. @throws SkeinError `corrupt` when one is missing or damaged. */
export function* newestFirst(reader: Reader, sessionId: string, pageSize: number): Generator<StoredEntry> {
  assertComplete(reader, sessionId);
  let [place, seq] = [AFTER_ALL, 0];
  for (;;) {
    const rows = reader.all(
      'SELECT * FROM messages WHERE session_id = ? AND (place, seq) < (?, ?) ORDER BY place DESC, seq DESC LIMIT ?',
      sessionId,
      place,
      seq,
      pageSize,
    );
    for (const row of rows) {
      place = textOf(row, 'place');
      seq = integerOf(row, 'seq');
      yield storedEntry(row);
    }
    if (rows.length < pageSize) return;
  }
}

/** @throws SkeinError `corrupt`. */
export function storedEntry(row: Row): StoredEntry {
  const values = checkedValues(row);
  const message = parseStoredMessage(textOf(row, 'body'));
  const author = row.author === null ? {} : { author: textOf(row, 'author') };
  return { message, tainted: values[3] !== 0, atMs: integerOf(row, 'at_ms'), ...author };
}

function lastSeqOf(reader: Reader, sessionId: string): number {
  const row = reader.get('SELECT last_seq FROM sessions WHERE id = ?', sessionId);
  return row === undefined ? 0 : integerOf(row, 'last_seq');
}

/** The values of a row that its checksum was made of before it had a place, once the checksum was looked at. */
function checkedValues(row: Row): SqlValue[] {
  const values = [
    textOf(row, 'session_id'),
    integerOf(row, 'seq'),
    integerOf(row, 'at_ms'),
    integerOf(row, 'tainted'),
    textOf(row, 'body'),
  ];
  const more = row.place === '' ? [] : [textOf(row, 'place'), row.dot ?? null, row.author ?? null];
  verifyRow(row, 'A stored message', [...values, ...more]);
  return values;
}

/** Messages are numbered as they come, without a gap: so one that is gone shows. */
function assertComplete(reader: Reader, sessionId: string): void {
  const expected = lastSeqOf(reader, sessionId);
  const row = reader.get(
    'SELECT count(*) AS messages, coalesce(max(seq), 0) AS last FROM messages WHERE session_id = ?',
    sessionId,
  );
  if (row !== undefined && integerOf(row, 'messages') === expected && integerOf(row, 'last') === expected) return;
  throw new SkeinError(
    `Conversation ${sessionId} had ${expected} messages and not all are there: restore the database from a backup`,
    { code: 'corrupt' },
  );
}

/** The title and author of the conversation's beginning, wherever it came from. */
function retitle(writer: Writer, sessionId: string): void {
  const first = writer.all('SELECT * FROM messages WHERE session_id = ? ORDER BY place, seq LIMIT ?', sessionId, TITLE_WITHIN);
  const title = titleOf(first.map((row) => storedEntry(row).message));
  writer.run('UPDATE sessions SET title = ?, author = ? WHERE id = ?', title, first[0]?.author ?? null, sessionId);
}
