import { type ConversationEntry, conversationEntry, conversationMessage, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { Message } from '../brain/brain.ts';

/** A message of a conversation with what the turn loop must remember of it. */
export interface SessionEntry {
  readonly message: Message;
  /** It is, or may repeat, text from outside: a request that holds it is tainted. */
  readonly tainted: boolean;
  /** The name of the node that did this for this one; absent for its own. */
  readonly worker?: string;
  /** For the result of a tool: how long it took. */
  readonly ms?: number;
}

/** An entry as it was stored. */
export interface StoredEntry extends SessionEntry {
  readonly atMs: number;
  /** The proven id of the node that wrote it; absent for this one. */
  readonly author?: string;
}

/** The entry as it crosses the wire and as a task keeps it: a copy that may be changed. */
export function conversationEntryOf(entry: SessionEntry): ConversationEntry {
  return conversationEntry.parse(entry);
}

/** @throws SkeinError `corrupt` when the stored text is not a message. */
export function parseStoredMessage(body: string): Message {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (thrown) {
    throw new SkeinError('A stored message is damaged: it is not JSON', { code: 'corrupt', cause: thrown });
  }
  const parsed = conversationMessage.safeParse(value);
  if (!parsed.success) {
    throw new SkeinError(`A stored message is damaged: ${z.prettifyError(parsed.error)}`, { code: 'corrupt' });
  }
  return parsed.data;
}
