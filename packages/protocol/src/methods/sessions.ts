import { z } from 'zod';
import { conversationMessage } from './conversation.ts';
import { operationMethods } from './operations.ts';

/** The conversations' log between peers; who brings an operation and who wrote it both need `sessions`. */
export const sessionOperations = operationMethods('sessions', 'sessions');

const sessionId = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._:-]{0,127}$/);
const time = z.string().regex(/^[0-9a-f]{16}$/);

/** What an operation on a conversation says. A `type` that is not known is kept and passed on, and changes nothing. */
export const sessionChange = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('entry'),
    session: sessionId,
    /** The time of the operation that began this turn; absent in that one itself. */
    turn: time.exactOptional(),
    message: conversationMessage,
    tainted: z.boolean(),
  }),
  /** Every turn that began before this operation is gone. */
  z.object({ type: z.literal('delete'), session: sessionId }),
]);
export type SessionChange = z.infer<typeof sessionChange>;
