import type { SessionEntry } from '../session/session-entry.ts';
import { parseSessionId, type SessionStore } from '../session/session-store.ts';

/** What a turn goes on from. */
export interface Opening {
  /** What was said before it, oldest first. */
  readonly history: readonly SessionEntry[];
  /** What was done of it before, after its own text: empty unless it was cut off. */
  readonly steps: readonly SessionEntry[];
}

/** Where a turn reads what was said before it, and keeps what it does. */
export interface Conversation {
  /** Turns of one lane run one after the other. */
  readonly lane: string;
  /** Keeps what was asked, unless that was done before. */
  open(asked: SessionEntry, options: { readonly maxChars: number }): Promise<Opening>;
  /**
   * Keeps an answer of the brain, or the result of a call: the answer comes before the calls in it are run, each result
   * as it comes.
   */
  append(entries: readonly SessionEntry[]): Promise<void>;
  /** Keeps that a call is about to run that must never be repeated. */
  intend(call: { readonly id: string; readonly name: string }): Promise<void>;
}

/** A conversation of this node in its session store. A step is kept as a whole: what a turn was cut off in, never was. */
export class SessionConversation implements Conversation {
  readonly lane: string;
  readonly #sessions: SessionStore;
  readonly #calls = new Set<string>();
  #waiting: SessionEntry[] = [];

  /** @throws SkeinError `invalid` for what is not a session id. */
  constructor(parts: { readonly sessions: SessionStore; readonly sessionId: string }) {
    this.#sessions = parts.sessions;
    this.lane = parseSessionId(parts.sessionId);
  }

  async open(asked: SessionEntry, options: { readonly maxChars: number }): Promise<Opening> {
    const history = this.#sessions.read(this.lane, options);
    await this.#sessions.append(this.lane, [asked]);
    return { history, steps: [] };
  }

  async append(entries: readonly SessionEntry[]): Promise<void> {
    for (const { message } of entries) {
      if (message.role === 'assistant') for (const { id } of message.toolCalls) this.#calls.add(id);
      if (message.role === 'tool') this.#calls.delete(message.callId);
    }
    this.#waiting.push(...entries);
    if (this.#calls.size > 0) return;
    const step = this.#waiting;
    this.#waiting = [];
    await this.#sessions.append(this.lane, step);
  }

  async intend(): Promise<void> {}
}
