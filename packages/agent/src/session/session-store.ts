import { type Database, fullTextQuery, integerOf, textOf, type Writer } from '@skein/engine';
import { SkeinError } from '@skein/protocol';
import type { OperationLog } from '../sync/operation-log.ts';
import { fitHistory, messageChars } from './fit-history.ts';
import type { SessionEntry, StoredEntry } from './session-entry.ts';
import { AFTER_ALL, deleteBefore, insertMessage, newestFirst, storedEntry } from './session-rows.ts';
import { SessionView } from './session-view.ts';

const SESSION_ID = /^[a-zA-Z0-9][a-zA-Z0-9._:-]{0,127}$/;
const PAGE = 64;
const MAX_TURN_CHARS = 4_000_000;
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
  /** The proven id of the node on which it began; absent for this one. */
  readonly author?: string;
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

export interface SessionStoreParts {
  readonly database: Database;
  readonly now: () => number;
  /** Where each change is signed, for peers; a database opened with `syncMigrations` too. Without it, nothing leaves. */
  readonly log?: OperationLog;
  readonly limits?: Partial<SessionLimits>;
}

/** Conversations in a database opened with `sessionMigrations`; who opened that closes it. */
export class SessionStore {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #limits: SessionLimits;
  readonly #view: SessionView | undefined;

  constructor(parts: SessionStoreParts) {
    this.#database = parts.database;
    this.#now = parts.now;
    this.#limits = { ...DEFAULTS, ...parts.limits };
    if (parts.log === undefined) return;
    this.#view = new SessionView({ log: parts.log, maxSessions: this.#limits.maxSessions });
    parts.log.attach(this.#view);
  }

  /**
   * Adds messages to a conversation, all or none, and begins it when it is new; resolves once they are on the disk.
   * @throws SkeinError `invalid`, `too-large`, `busy` at the bound of sessions, and what `Database.write` raises.
   */
  async append(sessionId: string, entries: readonly SessionEntry[]): Promise<void> {
    const append = this.appending(sessionId, entries);
    await this.#database.write(append);
  }

  /**
   * The same as part of another write to the same database: what it returns is run in that write.
   * @throws SkeinError `invalid`, `too-large`; `busy` when it is run.
   */
  appending(sessionId: string, entries: readonly SessionEntry[]): (writer: Writer) => void {
    parseSessionId(sessionId);
    const chars = Math.max(0, ...entries.map((entry) => JSON.stringify(entry.message).length));
    if (chars > this.#limits.maxMessageChars) {
      throw new SkeinError(`A message of ${chars} characters is over the ${this.#limits.maxMessageChars} kept`, {
        code: 'too-large',
      });
    }
    const atMs = this.#now();
    return (writer) => {
      let seq = this.#begin(writer, sessionId);
      for (const entry of entries) {
        const at = { sessionId, seq, atMs };
        const { place, dot } = this.#view?.sign(writer, at, entry) ?? { place: '', dot: null };
        insertMessage(writer, { ...entry, sessionId, atMs, place, dot, author: null });
        seq += 1;
      }
    };
  }

  /** Signs what was kept before there was a log; how many messages that were. To be awaited before peers are met. */
  async adopt(): Promise<number> {
    const view = this.#view;
    if (view === undefined) return 0;
    for (let total = 0; ; ) {
      const adopted = await this.#database.write((writer) => view.adopt(writer));
      total += adopted;
      if (adopted === 0) return total;
    }
  }

  /** Conversations, the latest first. */
  list(options?: { readonly limit?: number }): readonly SessionInfo[] {
    return this.#database
      .all('SELECT * FROM sessions ORDER BY updated_at_ms DESC, id LIMIT ?', options?.limit ?? 200)
      .map((row) => ({
        id: textOf(row, 'id'),
        title: textOf(row, 'title'),
        updatedAtMs: integerOf(row, 'updated_at_ms'),
        ...(row.author === null ? {} : { author: textOf(row, 'author') }),
      }));
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
      if (writer.get('SELECT 1 FROM sessions WHERE id = ?', sessionId) === undefined) return false;
      if (this.#view === undefined) deleteBefore(writer, sessionId, AFTER_ALL);
      else this.#view.delete(writer, sessionId);
      return true;
    });
  }

  /** The number of the conversation's last message. */
  #begin(writer: Writer, sessionId: string): number {
    const known = writer.get('SELECT last_seq FROM sessions WHERE id = ?', sessionId);
    if (known !== undefined) return integerOf(known, 'last_seq');
    const count = writer.get('SELECT count(*) AS sessions FROM sessions');
    if (count !== undefined && integerOf(count, 'sessions') >= this.#limits.maxSessions) {
      throw new SkeinError(`There are ${this.#limits.maxSessions} conversations, the most that are kept: delete some`, {
        code: 'busy',
      });
    }
    return 0;
  }

  #newestFirst(sessionId: string): Generator<StoredEntry> {
    return newestFirst(this.#database, parseSessionId(sessionId), PAGE);
  }
}

/** The text around the first word that the query looks for. */
function excerptOf(text: string, query: string): string {
  const words = [...query.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '');
  const lower = text.toLowerCase();
  const places = words.map((word) => lower.indexOf(word)).filter((place) => place >= 0);
  const start = Math.max(0, Math.min(...places, text.length) - EXCERPT_CHARS / 4);
  return text.slice(start, start + EXCERPT_CHARS).toWellFormed();
}
