import { z } from 'zod';
import { CHECKPOINT_CHARS } from '../statements/audit-checkpoint.ts';
import { REVOCATION_LIST_CHARS_MAX } from '../statements/revocation-list.ts';
import { defineMethod } from './method.ts';

const list = z.string().max(REVOCATION_LIST_CHARS_MAX).nullable();
const checkpoint = z.string().max(CHECKPOINT_CHARS).nullable();

/**
 * The caller's own revocation list for the callee's, null where there is none: called when two nodes meet and when the
 * caller's list has changed. Whether a list counts is for its receiver to decide.
 */
export const trustRevocations = defineMethod({
  name: 'trust.revocations',
  grant: 'presence',
  params: z.object({ list }),
  result: z.object({ list }),
  idempotent: true,
});

/**
 * Hands the callee a checkpoint of the caller's audit log to keep, null for none, and brings back the one the callee
 * kept of the caller before.
 */
export const trustCheckpoint = defineMethod({
  name: 'trust.checkpoint',
  grant: 'presence',
  params: z.object({ checkpoint }),
  result: z.object({ held: checkpoint }),
  idempotent: true,
});
