import { z } from 'zod';
import { defineMethod } from './method.ts';

/** How busy an agent is; the measure is (running + queued) / capacity. */
export const nodeLoad = z.object({
  running: z.int().min(0).max(1_000_000),
  queued: z.int().min(0).max(1_000_000),
  capacity: z.int().min(0).max(100_000),
});
export type NodeLoad = z.infer<typeof nodeLoad>;

/** What a node tells each peer of itself, when they meet and when it changes. A claim, never a reason to grant anything. */
export const nodeState = z.object({
  load: nodeLoad,
  /** Tool calls of peers that it is running. */
  calls: z.int().min(0).max(1_000_000),
  /** The name of the brain the receiver may have think for it; null when there is none for it. */
  brain: z.string().max(120).nullable(),
  /** How many tasks of the receiver may be with it at once, those counted that are; absent where it does none. */
  places: z.int().min(0).max(1_000_000).exactOptional(),
  role: z.enum(['coordinator', 'worker', 'peer']),
});
export type NodeState = z.infer<typeof nodeState>;

/** Published to every peer when they meet, and when what it says has changed; at most once a second. */
export const presenceState = defineMethod({
  name: 'presence.state',
  grant: 'presence',
  params: nodeState,
  result: z.object({}),
  idempotent: true,
});
