import { CHAT_CHARS_MAX, TASK_TEXT_CHARS_MAX, taskId, taskPriority } from '@skein/protocol';
import { z } from 'zod';

/** A session's id as clients may name it. Channels make their own, so only control characters are refused. */
const sessionId = z.string().regex(/^[^\p{Cc}]{1,200}$/u, 'a session id has 1 to 200 characters, no control characters');

/** Body of POST /api/ask. Without a session id a new session begins. */
export const askRequest = z.strictObject({
  /** Names the task, so that it can be canceled whatever became of the connection; asked again, it is the same work. */
  id: taskId.toLowerCase().exactOptional(),
  text: z
    .string()
    .trim()
    .min(1)
    .max(TASK_TEXT_CHARS_MAX, `a request has at most ${TASK_TEXT_CHARS_MAX} characters: shorten it`),
  sessionId: sessionId.exactOptional(),
  interactive: z.boolean().default(false),
  priority: taskPriority.exactOptional(),
});
export type AskRequest = z.input<typeof askRequest>;

/** Body of POST /api/confirm. */
export const confirmRequest = z.strictObject({ id: z.string().min(1).max(200), approve: z.boolean() });

/** Body of POST /api/call. */
export const callRequest = z.strictObject({
  name: z.string().min(1).max(200),
  input: z.record(z.string(), z.json()).default({}),
});

/** Body of POST /api/net/messages. */
export const messageRequest = z.strictObject({
  /** Its name or id. */
  peer: z.string().min(1).max(200),
  text: z.string().trim().min(1).max(CHAT_CHARS_MAX),
});
export type MessageRequest = z.input<typeof messageRequest>;

/** Body of POST /api/tasks/:id/cancel and /retry: they say everything in their path. */
export const emptyRequest = z.strictObject({});
