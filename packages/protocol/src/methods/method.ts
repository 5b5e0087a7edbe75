import type { z } from 'zod';

/** What a peer must have been granted to use a method; `presence` is granted to everybody who is trusted at all. */
export const GRANTS = ['presence', 'tools', 'brain', 'memory-read', 'memory-write', 'sessions', 'chat'] as const;
export type Grant = (typeof GRANTS)[number];

/** One row of the contract between peers. */
export interface Method<Params = unknown, Result = unknown, Part = unknown> {
  /** `area.verb`, as it stands on the wire. */
  readonly name: string;
  readonly grant: Grant;
  readonly params: z.ZodType<Params>;
  readonly result: z.ZodType<Result>;
  /** Present when the answer streams parts before its result. */
  readonly part?: z.ZodType<Part>;
  /** A repeated call has no further effect. */
  readonly idempotent: boolean;
}

/** A row with its types kept. */
export function defineMethod<P, R, T = never>(method: Method<P, R, T>): Method<P, R, T> {
  return method;
}
