import { type Database, fullTextQuery, integerOf, type Row, rowChecksum, textOf, verifyRow, type Writer } from '@skein/engine';
import { SkeinError } from '@skein/protocol';
import type { Message } from '../brain/brain.ts';
import { fitHistory, messageChars } from './fit-history.ts';
import { parseStoredMessage, type SessionEntry, type StoredEntry } from './session-entry.ts';

const SESSION_ID = /^[a-zA-Z0-9][a-zA-Z0-9._:-]{0,127}$/;
const PAGE = 64;
const MAX_TURN_CHARS = 4_000_000;
const TITLE_CHARS = 80;
const EXCERPT_CHARS = 200;

export interface SessionLimits {
  readonly maxSessions: number;
  /** Characters of one stored message, as JSON. */
  readonly maxMessageChars: number;
}

const DEFAULTS: SessionLimits = { maxSessions: 10_000, maxMessageChars: 1_000_000 };

/** A conversation as it is listed. */
export interface SessionInfo {
  readonly id: string;
  /** The first line of its first user's text. */
  readonly title: string;
  readonly updatedAtMs: number;
}

/** A place in a conversation that a search found. */
export interface SessionHit {
  readonly sessionId: string;
  readonly title: string;
  readonly role: 'user' | 'assistant';
  readonly excerpt: string;
  readonly atMs: number;
}

/** @throws SkeinError `invalid` unless it is 1 to 128 letters, digits, `.`, `_`, `:` or `-`, beginning with a letter or digit. */
export function parseSessionId(text: string): string {
  if (SESSION_ID.test(text)) return text;
  throw new SkeinError(
    `"${text.slice(0, 60)}" is not a session id: use 1 to 128 letters, digits, ".", "_", ":" or "-", beginning with a letter or digit`,
    { code: 'invalid' },
  );
}

/** Conversations in a database opened with `sessionMigrations`; who opened that closes it. */
export class SessionStore {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #limits: SessionLimits;

  constructor(parts: { readonly database: Database; readonly now: () => number; readonly limits?: Partial<SessionLimits> }) {
    this.#database = parts.database;
    this.#now = parts.now;
    this.#limits = { ...DEFAULTS, ...parts.limits };
  }

  /**
   * Adds messages to a conversation, all or none, and begins it when it is new; resolves once they are on the disk.
   * @throws SkeinError `invalid`, `too-large`, `busy` at the bound of sessions, and what `Database.write` raises.
   */
  async append(sessionId: string, entries: readonly SessionEntry[]): Promise<void> {
    parseSessionId(sessionId);
    const rows = entries.map((entry) => ({ ...entry, body: JSON.stringify(entry.message) }));
    const tooLong = rows.find((row) => row.body.length > this.#limits.maxMessageChars);
    if (tooLong !== undefined) {
      throw new SkeinError(`A message of ${tooLong.body.length} characters is over the ${this.#limits.maxMessageChars} kept`, {
        code: 'too-large',
      });
    }
    const atMs = this.#now();
    await this.#database.write((writer) => {
      let seq = this.#begin(writer, sessionId, entries, atMs);
      for (const { message, tainted, body } of rows) {
        seq += 1;
        const values = [sessionId, seq, atMs, tainted ? 1 : 0, body] as const;
        writer.run(
          'INSERT INTO messages (session_id, seq, at_ms, tainted, body, sum) VALUES (?, ?, ?, ?, ?, ?)',
          ...values,
          rowChecksum(values),
        );
        if (message.role !== 'tool' && message.text !== '') {
          writer.run('INSERT INTO message_search (rowid, text) VALUES (last_insert_rowid(), ?)', message.text.toWellFormed());
        }
      }
      writer.run('UPDATE sessions SET last_seq = ?, updated_at_ms = ? WHERE id = ?', seq, atMs, sessionId);
    });
  }

  /** Conversations, the latest first. */
  list(options?: { readonly limit?: number }): readonly SessionInfo[] {
    return this.#database
      .all('SELECT id, title, updated_at_ms FROM sessions ORDER BY updated_at_ms DESC, id LIMIT ?', options?.limit ?? 200)
      .map((row) => ({ id: textOf(row, 'id'), title: textOf(row, 'title'), updatedAtMs: integerOf(row, 'updated_at_ms') }));
  }

  /**
   * The newest messages that fit, oldest first, as `fitHistory` chooses; empty for a conversation that does not exist.
   * @throws SkeinError `invalid`, `corrupt`.
   */
  read(sessionId: string, options: { readonly maxChars: number }): readonly SessionEntry[] {
    const newest: StoredEntry[] = [];
    let chars = 0;
    for (const entry of this.#newestFirst(sessionId)) {
      newest.push(entry);
      chars += messageChars(entry.message);
      // Past the budget, read on to the beginning of the turn, so that a whole one can be kept; but not without end.
      if (chars > options.maxChars && (entry.message.role === 'user' || chars > options.maxChars + MAX_TURN_CHARS)) break;
    }
    return fitHistory(newest.reverse(), options.maxChars);
  }

  /** What people asked and what they were answered: the newest texts, oldest first. @throws SkeinError `invalid`, `corrupt`. */
  texts(
    sessionId: string,
    options?: { readonly limit?: number },
  ): readonly { readonly role: 'user' | 'assistant'; readonly text: string }[] {
    const limit = options?.limit ?? 500;
    const texts: { role: 'user' | 'assistant'; text: string }[] = [];
    for (const { message } of this.#newestFirst(sessionId)) {
      if (message.role === 'user') texts.push({ role: 'user', text: message.text });
      if (message.role === 'assistant' && message.toolCalls.length === 0) texts.push({ role: 'assistant', text: message.text });
      if (texts.length >= limit) break;
    }
    return texts.reverse();
  }

  /** Where any of the words was said, best first; words match from their beginning. */
  search(text: string, options?: { readonly limit?: number }): readonly SessionHit[] {
    const query = fullTextQuery(text) ?? fullTextQuery(text, { keepCommon: true });
    if (query === undefined) return [];
    const rows = this.#database.all(
      `SELECT messages.*, sessions.title FROM message_search
       JOIN messages ON messages.id = message_search.rowid JOIN sessions ON sessions.id = messages.session_id
       WHERE message_search MATCH ? ORDER BY rank LIMIT ?`,
      query,
      options?.limit ?? 20,
    );
    return rows.flatMap((row) => {
      const { message, atMs } = storedEntry(row);
      if (message.role === 'tool') return [];
      const excerpt = excerptOf(message.text, query);
      return [{ sessionId: textOf(row, 'session_id'), title: textOf(row, 'title'), role: message.role, excerpt, atMs }];
    });
  }

  /** Removes a conversation; false when there was none. */
  async delete(sessionId: string): Promise<boolean> {
    parseSessionId(sessionId);
    return this.#database.write((writer) => {
      writer.run('DELETE FROM message_search WHERE rowid IN (SELECT id FROM messages WHERE session_id = ?)', sessionId);
      return writer.run('DELETE FROM sessions WHERE id = ?', sessionId) > 0;
    });
  }

  #begin(writer: Writer, sessionId: string, entries: readonly SessionEntry[], atMs: number): number {
    const known = writer.get('SELECT last_seq FROM sessions WHERE id = ?', sessionId);
    if (known !== undefined) return integerOf(known, 'last_seq');
    const count = writer.get('SELECT count(*) AS sessions FROM sessions');
    if (count !== undefined && integerOf(count, 'sessions') >= this.#limits.maxSessions) {
      throw new SkeinError(`There are ${this.#limits.maxSessions} conversations, the most that are kept: delete some`, {
        code: 'busy',
      });
    }
    writer.run('INSERT INTO sessions VALUES (?, ?, ?, 0)', sessionId, titleOf(entries), atMs);
    return 0;
  }

  *#newestFirst(sessionId: string): Generator<StoredEntry> {
    parseSessionId(sessionId);
    const session = this.#database.get('SELECT last_seq FROM sessions WHERE id = ?', sessionId);
    let seq = session === undefined ? 0 : integerOf(session, 'last_seq');
    while (seq > 0) {
      const rows = this.#database.all(
        'SELECT * FROM messages WHERE session_id = ? AND seq <= ? ORDER BY seq DESC LIMIT ?',
        sessionId,
        seq,
        PAGE,
      );
      for (const row of rows) {
        if (integerOf(row, 'seq') !== seq) throw missing(sessionId, seq);
        seq -= 1;
        yield storedEntry(row);
      }
      if (rows.length === 0) throw missing(sessionId, seq);
    }
  }
}

function storedEntry(row: Row): StoredEntry {
  const body = textOf(row, 'body');
  const tainted = integerOf(row, 'tainted');
  const atMs = integerOf(row, 'at_ms');
  verifyRow(row, 'A stored message', [textOf(row, 'session_id'), integerOf(row, 'seq'), atMs, tainted, body]);
  return { message: parseStoredMessage(body), tainted: tainted !== 0, atMs };
}

function missing(sessionId: string, seq: number): SkeinError {
  return new SkeinError(`Message ${seq} of conversation ${sessionId} is missing: restore the database from a backup`, {
    code: 'corrupt',
  });
}

function titleOf(entries: readonly SessionEntry[]): string {
  const first = entries
    .map(({ message }) => message)
    .find((message): message is Message & { role: 'user' } => message.role === 'user');
  const line = first?.text.trim().split('\n')[0]?.trim() ?? '';
  const title = line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line;
  return title === '' ? 'Conversation' : title.toWellFormed();
}

/** The text around the first word that the query looks for. */
function excerptOf(text: string, query: string): string {
  const words = [...query.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '');
  const lower = text.toLowerCase();
  const places = words.map((word) => lower.indexOf(word)).filter((place) => place >= 0);
  const start = Math.max(0, Math.min(...places, text.length) - EXCERPT_CHARS / 4);
  return text.slice(start, start + EXCERPT_CHARS).toWellFormed();
}
