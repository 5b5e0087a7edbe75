import type { Message } from '../brain/brain.ts';

const TITLE_CHARS = 80;

/** A conversation's title: the first line of its first user's text. */
export function titleOf(messages: readonly Message[]): string {
  const first = messages.find((message): message is Message & { role: 'user' } => message.role === 'user');
  const line = first?.text.trim().split('\n')[0]?.trim() ?? '';
  const title = line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line;
  return title === '' ? 'Conversation' : title.toWellFormed();
}
