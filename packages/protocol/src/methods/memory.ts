import { z } from 'zod';
import { defineMethod } from './method.ts';
import { operationMethods, wireOperation } from './operations.ts';
import { peerId } from './peer-id.ts';

/**
 * The memory's log between peers. Who brings an operation needs `memory-read` alone, since its author's signature says
 * who wrote it; it is taken only when its author holds `memory-write`.
 */
export const memoryOperations = operationMethods('memory', 'memory-read');

/** Names one operation: author, replica and sequence. */
export const operationDot = z
  .string()
  .regex(/^[a-z2-7]{52}\.[0-9a-f]{16}\.[1-9][0-9]{0,15}$/)
  .refine((dot) => {
    const [author, , seq] = dot.split('.');
    return peerId.safeParse(author).success && Number.isSafeInteger(Number(seq));
  }, 'expected the name of an operation');

/** What an operation on the memory says. A `type` that is not known is kept and passed on, and changes nothing. */
export const memoryChange = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('fact'),
    /** Names the fact over its edits. */
    fact: z.string().min(1).max(100),
    text: z.string().min(1).max(4_000),
    tags: z.array(z.string().min(1).max(40)).max(16),
    /** Who said it, where that is not the author itself. */
    by: z.string().min(1).max(128).exactOptional(),
    source: z.string().max(200),
    /** For the author's own node alone: nobody else believes it. */
    trusted: z.boolean(),
  }),
  /**
   * Versions, those its author had seen, are gone and their text is erased. An edit is a new version and then this: an
   * operation that may itself be erased must not be what removes another.
   */
  z.object({ type: z.literal('forget'), fact: z.string().min(1).max(100), removes: z.array(operationDot).min(1).max(64) }),
]);
export type MemoryChange = z.infer<typeof memoryChange>;

/** Facts with any of the words, best first, each as its author signed it. */
export const memorySearch = defineMethod({
  name: 'memory.search',
  grant: 'memory-read',
  params: z.object({ query: z.string().min(1).max(500), limit: z.int().min(1).max(50) }),
  result: z.object({ facts: z.array(wireOperation).max(50) }),
  idempotent: true,
});
