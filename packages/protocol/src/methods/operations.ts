import { z } from 'zod';
import { ERROR_CODES } from '../errors.ts';
import { OPERATION_BODY_BYTES_MAX } from '../operation.ts';
import { defineMethod, type Grant } from './method.ts';
import { peerId } from './peer-id.ts';

/** Operations in one page or push. */
export const OPERATIONS_PAGE_MAX = 128;
/** Bytes of operations in a page, beyond which no further one is put in; a single larger one goes alone. */
export const OPERATIONS_PAGE_BYTES_SOFT = 256 * 1024;
/** Chains one side speaks of at a time. */
export const CHAINS_MAX = 2_048;
/** Ranges asked for at once. */
export const WANTS_MAX = 256;

/** Base64 of the 188 bytes of a head. */
const head = z.string().length(252);
const replica = z.string().regex(/^[0-9a-f]{16}$/);
const seq = z.int().min(1);

/** An operation with its body as it was signed, or without one that was erased. */
export const wireOperation = z.object({ head, body: z.string().max(OPERATION_BODY_BYTES_MAX).optional() });
export type WireOperation = z.infer<typeof wireOperation>;

/** How far a chain goes, and the digest (base64) of its last operation. */
export const chainHead = z.object({ author: peerId, replica, seq, digest: z.string().length(44) });
export type ChainHead = z.infer<typeof chainHead>;

/** Operations of one chain, both ends included. */
export const chainRange = z.object({ author: peerId, replica, from: seq, to: seq });
export type ChainRange = z.infer<typeof chainRange>;

/** An operation that was not taken, and why. */
export const refusedOperation = z.object({
  author: peerId,
  replica,
  seq,
  code: z.enum(ERROR_CODES),
  message: z.string().max(500),
});
export type RefusedOperation = z.infer<typeof refusedOperation>;

/** The three methods by which one log is kept the same everywhere. */
export function operationMethods(area: string, grant: Grant) {
  return {
    /** Says how far one's chains go and is told the other's; as a publication, tells of chains that grew. */
    have: defineMethod({
      name: `${area}.have`,
      grant,
      params: z.object({ chains: z.array(chainHead).max(CHAINS_MAX) }),
      result: z.object({ chains: z.array(chainHead).max(CHAINS_MAX) }),
      idempotent: true,
    }),
    /** A page of the operations asked for, in order; fewer than all when they do not fit. */
    pull: defineMethod({
      name: `${area}.pull`,
      grant,
      params: z.object({ wants: z.array(chainRange).min(1).max(WANTS_MAX) }),
      result: z.object({ operations: z.array(wireOperation).max(OPERATIONS_PAGE_MAX) }),
      idempotent: true,
    }),
    /** Brings operations, of each chain in order; answered once those that were taken are on the disk. */
    push: defineMethod({
      name: `${area}.push`,
      grant,
      params: z.object({ operations: z.array(wireOperation).min(1).max(OPERATIONS_PAGE_MAX) }),
      result: z.object({ refused: z.array(refusedOperation).max(OPERATIONS_PAGE_MAX) }),
      idempotent: true,
    }),
  };
}
export type OperationMethods = ReturnType<typeof operationMethods>;
