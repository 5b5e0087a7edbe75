import type { Database, Writer } from '@skein/engine';
import type { ConversationEntry, PeerId, TaskOutcome } from '@skein/protocol';
import { conversationEntryOf } from '../session/session-entry.ts';
import type { SessionStore } from '../session/session-store.ts';
import type { TaskInfo } from './task.ts';
import type { TaskLimits } from './task-limits.ts';
import { findRow, putText, readSteps, readTexts, type TaskRow } from './task-rows.ts';
import { answerIn, entriesOf, newestEntries, wholeEntries } from './task-steps.ts';

export interface TaskConversationsParts {
  readonly database: Database;
  readonly self: PeerId;
  /** Undefined where none are kept. */
  readonly sessions: SessionStore | undefined;
  readonly limits: Pick<TaskLimits, 'maxHistoryChars' | 'maxHistoryEntries'>;
}

/** What this node's own tasks take from their conversations as they begin, and what they leave there as they end. */
export class TaskConversations {
  readonly #parts: TaskConversationsParts;

  constructor(parts: TaskConversationsParts) {
    this.#parts = parts;
  }

  /** What the first run of an own task writes: its history as it is now, and its text into the conversation. */
  opening(info: TaskInfo): ((writer: Writer, num: number) => void) | undefined {
    const { database, self, sessions, limits } = this.#parts;
    const { maxHistoryChars: maxChars, maxHistoryEntries } = limits;
    const row = findRow(database, info);
    if (sessions === undefined || info.origin !== self || row === undefined || row.runs > 0) return undefined;
    const { text = '', source } = readTexts(database, row.num).request ?? {};
    const history = newestEntries(sessions.read(info.session, { maxChars }).map(conversationEntryOf), maxHistoryEntries);
    const asked = { message: { role: 'user', text }, tainted: source !== undefined } as const;
    const append = sessions.appending(info.session, [asked]);
    return (writer, num) => {
      if (history.length > 0) putText(writer, num, 'history', [...history]);
      append(writer);
    };
  }

  /** What was done since the last time, whole steps only, into the conversation. Up to which event that is then. */
  settle(writer: Writer, row: TaskRow, outcome: TaskOutcome): number {
    const { self, sessions } = this.#parts;
    if (sessions === undefined || row.origin !== self || row.runs === 0) return row.settledSeq;
    const steps = readSteps(writer, row.num, row.settledSeq);
    const entries: ConversationEntry[] = [...wholeEntries(entriesOf(steps))];
    const { state, text } = outcome;
    // An executor may tell its answer only in the end.
    if (state === 'done' && text !== undefined && answerIn(entries) !== text) {
      entries.push({ message: { role: 'assistant', text, toolCalls: [] }, tainted: row.owner !== 'me' });
    }
    if (entries.length > 0) sessions.appending(row.session, entries)(writer);
    return steps.at(-1)?.seq ?? row.settledSeq;
  }
}
