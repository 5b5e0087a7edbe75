import { z } from 'zod';
import { defineMethod } from './method.ts';

/** Characters of one message from people to people. */
export const CHAT_CHARS_MAX = 4_000;

/**
 * Brings a short message of the people at one node to those at another; no brain reads it. Answered once it is on the
 * receiver's disk; the same id again is answered the same and has no further effect, with another text it is `conflict`.
 * Refused with `busy` (and when to try again) over the receiver's rate.
 */
export const chatSend = defineMethod({
  name: 'chat.send',
  grant: 'chat',
  params: z.object({
    /** Names the message at its sender. */
    id: z.uuid(),
    text: z.string().min(1).max(CHAT_CHARS_MAX),
  }),
  result: z.object({}),
  idempotent: true,
});
