import type { Json, PeerId, ToolDescriptor, ToolEffect, ToolExample } from '@skein/protocol';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { explainInput } from './explain-input.ts';

export interface ToolContext {
  /** Fires when the caller stopped, its deadline passed or its connection closed. */
  readonly signal: AbortSignal;
  /** Who asked: a peer's proven id, or undefined for this node's own agent. */
  readonly caller?: string;
  /** Names the effect: the same key again is the same call begun anew after a crash, and must have no further effect. */
  readonly key?: string;
  /** For whom the caller acts, each for the next, the first the one who asked; undefined for a request of this node. */
  readonly onBehalfOf?: readonly PeerId[];
  /** The turn that calls; undefined for a call by a peer or a program. */
  readonly turn?: TurnTaint;
  /** For a tool that says `keepsLimit`; any other is ended by who calls it. */
  readonly limit?: TimeLimit;
  /** Sends partial output ahead of the result; resolves when the receiver has room for more. */
  emit(delta: string): Promise<void>;
}

/** How long a call may take. */
export interface TimeLimit {
  readonly timeoutMs: number;
  /** What runs, for the error of one that took too long. */
  readonly what: string;
  /** The configuration's key that says `timeoutMs`, for the same. */
  readonly setting?: string;
}

/** What a turn has read from outside, for a tool that keeps or hands out text of either kind. */
export interface TurnTaint {
  /** The request that led to this call held text from outside. */
  readonly tainted: boolean;
  /** Says that this call's output holds text from outside, and whose. */
  taint(source: string): void;
}

/** Something an agent can do: local, remote or foreign, the brain cannot tell. */
export interface Tool {
  readonly descriptor: ToolDescriptor;
  /** The peer that runs it: its label and proven id; undefined for a tool of this node. */
  readonly peer?: { readonly name: string; readonly id: string };
  /** Whether the output comes from outside and so is data, never instruction: web pages, files, other peers. */
  readonly untrusted: boolean;
  /** It ends by the signal and the limit of its context itself, so that nobody need watch over it. */
  readonly keepsLimit?: true;
  /**
   * Checks the input against the tool's schema and runs it.
   * @throws SkeinError `invalid` for input the schema refuses, and whatever the tool raises.
   */
  run(input: unknown, context: ToolContext): Promise<Json>;
}

export interface ToolDefinition<Input extends z.ZodObject> {
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly name: string;
  readonly description: string;
  readonly input: Input;
  readonly effect?: ToolEffect;
  readonly untrusted?: boolean;
  /** For one that reads where its input says, anywhere: it could carry out what the input holds. */
  readonly openWorld?: boolean;
  readonly examples?: readonly ToolExample[];
  run(input: z.infer<Input>, context: ToolContext): Promise<Json> | Json;
}

/** A tool from a name, a schema and a function. `effect` defaults to `at-most-once`, the strictest. */
export function defineTool<Input extends z.ZodObject>(definition: ToolDefinition<Input>): Tool {
  const schema = definition.input.strict();
  return {
    descriptor: {
      name: definition.name,
      description: definition.description,
      input: z.record(z.string(), z.json()).parse(z.toJSONSchema(schema, { io: 'input' })),
      effect: definition.effect ?? 'at-most-once',
      examples: [...(definition.examples ?? [])],
      ...(definition.openWorld === true ? { openWorld: true } : {}),
    },
    untrusted: definition.untrusted ?? false,
    async run(input, context) {
      const parsed = schema.safeParse(input);
      if (!parsed.success) {
        throw new SkeinError(explainInput(schema, definition.name, parsed.error.issues), { code: 'invalid' });
      }
      // Proven: strict() changes which keys are refused, not the type of what is accepted.
      return definition.run(parsed.data as z.infer<Input>, context);
    },
  };
}
