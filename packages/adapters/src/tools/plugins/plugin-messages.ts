import { ERROR_CODES, jsonWithin, peerId, SkeinError, toolDescriptor, toolName } from '@skein/protocol';
import { z } from 'zod';

/** Bytes of one line between a node and a plug-in's process. */
export const MAX_LINE_BYTES = 4_194_304;
/** Of what a tool returns, as JSON; the rest of a line is what is said around it. */
export const OUTPUT_LIMITS = { bytes: MAX_LINE_BYTES - 1_024, levels: 64, values: 200_000 } as const;
const MAX_LEVELS = OUTPUT_LIMITS.levels + 8;
const MAX_VALUES = OUTPUT_LIMITS.values + 1_000;
/** Tools of one plug-in. */
const MAX_TOOLS = 128;
/** Calls of one plug-in at once, with those that were stopped and have not ended. */
export const MAX_CALLS = 1_024;
/** The same for one caller, so that none takes them all: a peer, or this node's own agent. */
export const MAX_CALLS_PER_CALLER = 64;
/** Characters of one piece of partial output. */
const MAX_DELTA_CHARS = 65_536;
/** Sources that one call may say its output is from. */
export const MAX_TAINTS = 32;

/** Causes of one error that are told. */
const CAUSES_MAX = 3;

const id = z.int().min(1);
const error = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string().max(4_000),
  retryAfterMs: z.number().min(0).max(86_400_000).optional(),
});

/** What a node says to a plug-in's process. */
export const toPlugin = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('call'),
    id,
    tool: toolName,
    input: z.unknown(),
    caller: z.string().max(200).optional(),
    key: z.string().max(200).optional(),
    onBehalfOf: z.array(peerId).max(8).optional(),
    tainted: z.boolean().optional(),
  }),
  /** Stop that call; the code and words are what its signal fires with. */
  z.strictObject({ type: z.literal('cancel'), id, error }),
  /** The partial output that came last was taken. */
  z.strictObject({ type: z.literal('more'), id }),
]);
export type ToPlugin = z.input<typeof toPlugin>;

/** What a plug-in shows of one of its tools. */
const shownTool = z.strictObject({ descriptor: toolDescriptor, untrusted: z.boolean() });
export type ShownTool = z.infer<typeof shownTool>;

/** What a plug-in's process says to the node. */
export const fromPlugin = z.discriminatedUnion('type', [
  /** First of all: its tools, or why there are none. */
  z.strictObject({ type: z.literal('ready'), tools: z.array(shownTool).min(1).max(MAX_TOOLS) }),
  z.strictObject({ type: z.literal('refused'), reason: z.enum(['broken', 'changed']), message: z.string().max(4_000) }),
  z.strictObject({ type: z.literal('delta'), id, text: z.string().max(MAX_DELTA_CHARS) }),
  z.strictObject({ type: z.literal('taint'), id, source: z.string().max(500) }),
  /** It was told to stop and its code runs on; it answers, though. */
  z.strictObject({ type: z.literal('stopping'), id }),
  z.strictObject({ type: z.literal('result'), id, output: z.unknown() }),
  z.strictObject({ type: z.literal('failed'), id, error }),
]);
export type FromPlugin = z.infer<typeof fromPlugin>;

/** A line as a message. @throws SkeinError `invalid` for one that is none. */
export function parseMessage<Schema extends z.ZodType>(schema: Schema, line: string): z.infer<Schema> {
  if (!jsonWithin(line, MAX_LEVELS, MAX_VALUES))
    throw new SkeinError('It nests too deep or holds too much', { code: 'invalid' });
  try {
    return schema.parse(JSON.parse(line));
  } catch (thrown) {
    throw new SkeinError('It is no message of a plug-in', { code: 'invalid', cause: thrown });
  }
}

/** An error as it goes over the pipe; one of a plug-in's own copy of the class is known by its name and code. */
export function formatError(thrown: unknown): z.infer<typeof error> {
  const known =
    thrown instanceof Error && thrown.name === 'SkeinError' && 'code' in thrown
      ? ERROR_CODES.find((code) => code === thrown.code)
      : undefined;
  const { code, retryAfterMs } = SkeinError.from(thrown);
  const message = known === undefined ? describeThrown(thrown) : SkeinError.from(thrown).message;
  const shown = { code: known ?? code, message: message.slice(0, 4_000).toWellFormed() };
  return retryAfterMs === undefined ? shown : { ...shown, retryAfterMs: Math.min(Math.max(retryAfterMs, 0), 86_400_000) };
}

/** The error that came over the pipe. */
export function parseError({ code, message, retryAfterMs }: z.infer<typeof error>): SkeinError {
  return new SkeinError(message, { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** A failure with what it came from and the system's word for it: "fetch failed" alone says little. */
function describeThrown(thrown: unknown, depth = 0): string {
  const { message } = SkeinError.from(thrown);
  if (!(thrown instanceof Error)) return message;
  const code = 'code' in thrown && typeof thrown.code === 'string' && !message.includes(thrown.code) ? ` (${thrown.code})` : '';
  const cause = thrown.cause instanceof Error && depth < CAUSES_MAX ? `: ${describeThrown(thrown.cause, depth + 1)}` : '';
  return `${message}${code}${cause}`;
}
