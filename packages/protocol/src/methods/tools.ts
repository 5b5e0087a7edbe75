import { z } from 'zod';
import type { Json } from '../json.ts';
import { defineMethod } from './method.ts';
import { peerId } from './peer-id.ts';

/** Characters of a tool's name: what every model provider accepts. */
export const toolName = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/);

/**
 * What a call changes. `read`: nothing. `transactional`: commits with the journal. `idempotent`: a repeat with the
 * same key changes nothing more. `at-most-once`: never repeated after a crash; it may end as unknown.
 */
export const toolEffect = z.enum(['read', 'transactional', 'idempotent', 'at-most-once']);
export type ToolEffect = z.infer<typeof toolEffect>;

/**
 * A way people ask for a tool. `say` may hold `{slot}`s, which are filled from the request and put where the same
 * `{slot}` stands in `input`. `field` is the dotted path of the number in the output that such a request is about, by
 * which peers can be compared; `label` and `unit` say it in words.
 */
export const toolExample = z.object({
  say: z.string().max(200),
  input: z.record(z.string(), z.json()),
  field: z.string().max(100).optional(),
  label: z.string().max(60).optional(),
  unit: z.enum(['bytes', 'percent', 'seconds', 'count']).optional(),
});
export type ToolExample = z.infer<typeof toolExample>;

/** What a tool shows of itself: to a model, to peers, to people. */
export const toolDescriptor = z.object({
  name: toolName,
  description: z.string().max(2_000),
  /** JSON Schema of the input, an object schema. */
  input: z.record(z.string(), z.json()),
  effect: toolEffect,
  examples: z.array(toolExample).max(16).default([]),
  /** Its input says where it reads, anywhere: it could carry out what the input holds. */
  openWorld: z.boolean().optional(),
});
export type ToolDescriptor = z.infer<typeof toolDescriptor>;

/** The tools this peer shares with the caller. */
export const toolsList = defineMethod({
  name: 'tools.list',
  grant: 'tools',
  params: z.object({}),
  result: z.object({ tools: z.array(toolDescriptor).max(256) }),
  idempotent: true,
});

/** Runs one shared tool. Parts are its partial output, in order; the result is its whole output, any JSON. */
export const toolsCall = defineMethod({
  name: 'tools.call',
  grant: 'tools',
  params: z.object({
    tool: toolName,
    input: z.record(z.string(), z.unknown()),
    /** Names the effect: the same key again has no further one, for a tool that is `idempotent` or `transactional`. */
    key: z.string().max(100).optional(),
    /** For whom the caller acts, each for the next. Every one of them must be allowed too: it only takes away. */
    onBehalfOf: z.array(peerId).max(8).readonly().optional(),
  }),
  result: z.object({ output: z.unknown() }),
  part: z.object({ delta: z.string() }),
  idempotent: false,
});

/** Published when the tools shared with the receiver changed: it should list them again. */
export const toolsChanged = defineMethod({
  name: 'tools.changed',
  grant: 'presence',
  params: z.object({}),
  result: z.object({}),
  idempotent: true,
});

export type ToolOutput = Json;
