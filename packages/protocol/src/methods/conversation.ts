import { z } from 'zod';
import type { Json } from '../json.ts';

/** Any JSON, as it came. */
export const json: z.ZodType<Json> = z.json();

/** One message of a conversation as it crosses the wire and as it is kept. */
export const conversationMessage = z.discriminatedUnion('role', [
  z.object({ role: z.literal('user'), text: z.string() }),
  z.object({
    role: z.literal('assistant'),
    text: z.string(),
    toolCalls: z.array(z.object({ id: z.string(), name: z.string(), input: z.unknown() })).readonly(),
  }),
  z.object({
    role: z.literal('tool'),
    callId: z.string(),
    name: z.string(),
    output: json,
    ok: z.boolean(),
    /** The output came from outside the agent's own node. */
    untrusted: z.literal(true).exactOptional(),
  }),
]);
export type ConversationMessage = z.infer<typeof conversationMessage>;

/** A message with whether it is, or may repeat, text from outside. */
export const conversationEntry = z.object({
  message: conversationMessage,
  tainted: z.boolean(),
  /** The name of the node that did this for the one that keeps it; absent for its own. */
  worker: z.string().min(1).max(80).exactOptional(),
  /** For the result of a tool: how long it took. */
  ms: z.number().min(0).exactOptional(),
});
export type ConversationEntry = z.infer<typeof conversationEntry>;
