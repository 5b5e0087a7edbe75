import { z } from 'zod';

/** Which provider's protocol a request spoke, told by its path. */
export type LlmStyle = 'openai' | 'anthropic' | 'ollama';

/**
 * What goes wrong with one answer. Positions count whole events of the stream (`afterEvents`), so that a fault can
 * come before the first part (0) or between parts.
 */
export const llmFault = z.discriminatedUnion('type', [
  /** The socket is reset. */
  z.strictObject({ type: z.literal('reset'), afterEvents: z.number().int().min(0).optional() }),
  /** Nothing more is ever sent, and the socket stays open. */
  z.strictObject({ type: z.literal('hang'), afterEvents: z.number().int().min(0).optional() }),
  /** An HTTP error; `echoHeaders` puts the request's headers into its message, as a careless gateway would. */
  z.strictObject({
    type: z.literal('status'),
    status: z.number().int().min(400).max(599),
    retryAfter: z.string().optional(),
    echoHeaders: z.boolean().optional(),
  }),
  z.strictObject({ type: z.literal('redirect'), location: z.string() }),
  /** The right bytes, `bytes` at a time with a pause between. */
  z.strictObject({ type: z.literal('drip'), bytes: z.number().int().min(1), everyMs: z.number().int().min(0) }),
  /** The right bytes up to the middle of an event, then a clean end. */
  z.strictObject({ type: z.literal('truncated') }),
  /** JSON whose fields have other types than the protocol's. */
  z.strictObject({ type: z.literal('wrong-types') }),
  z.strictObject({ type: z.literal('empty') }),
  z.strictObject({ type: z.literal('html') }),
  /** The protocol's own error event after some parts. */
  z.strictObject({ type: z.literal('stream-error'), afterEvents: z.number().int().min(0).optional() }),
  /** That many bytes: as text parts, or as one line that never ends. */
  z.strictObject({ type: z.literal('flood'), bytes: z.number().int().min(1), shape: z.enum(['text', 'line']) }),
]);
export type LlmFault = z.infer<typeof llmFault>;

export const llmToolCall = z.strictObject({
  id: z.string().optional(),
  /** The name as it stands on the wire, e.g. `us-monitor__shell_exec`. */
  name: z.string(),
  input: z.json().optional(),
  /** The arguments' text as it is, for arguments that are not JSON; wins over `input`. */
  rawInput: z.string().optional(),
});
export type LlmToolCall = z.infer<typeof llmToolCall>;

/** One answer of the model. In text, `{{last}}` stands for the content of the request's last message. */
export const llmTurn = z.strictObject({
  text: z.string().optional(),
  toolCalls: z.array(llmToolCall).optional(),
  usage: z.strictObject({ inputTokens: z.number(), outputTokens: z.number() }).optional(),
  finish: z.enum(['stop', 'tool-calls', 'length', 'filtered']).optional(),
  fault: llmFault.optional(),
});
export type LlmTurn = z.infer<typeof llmTurn>;

/** A script as a file: turns in order; with `repeat` they begin again after the last. */
export const llmScriptFile = z.strictObject({
  turns: z.array(llmTurn).min(1),
  repeat: z.boolean().optional(),
  models: z.array(z.strictObject({ name: z.string(), tools: z.boolean().optional() })).optional(),
  apiKey: z.string().optional(),
});
export type LlmScriptFile = z.infer<typeof llmScriptFile>;

/** A request for an answer, as it came. */
export interface LlmRequest {
  readonly style: LlmStyle;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly model: string;
  readonly stream: boolean;
  /** Names of the tools offered, as on the wire. */
  readonly tools: readonly string[];
  /** The content of the last message: its text, or its JSON. */
  readonly last: string;
  /** How it ended: the whole answer was sent, or the client (or a fault) closed the connection before. */
  readonly ended: Promise<'answered' | 'closed'>;
}

/** Answers each request, or is a list of answers given in order. */
export type LlmScript = readonly LlmTurn[] | ((request: LlmRequest) => LlmTurn | Promise<LlmTurn>);

/** The function form of a script. A list that ran out answers with status 500, so that a test sees one call too many. */
export function createScript(script: LlmScript, repeat = false): (request: LlmRequest) => LlmTurn | Promise<LlmTurn> {
  if (typeof script === 'function') return script;
  let next = 0;
  return () => {
    const turn = script[repeat ? next % script.length : next];
    next += 1;
    return turn ?? { fault: { type: 'status', status: 500 } };
  };
}

/** The reason a turn ends with. */
export function finishOf(turn: LlmTurn): 'stop' | 'tool-calls' | 'length' | 'filtered' {
  return turn.finish ?? (turn.toolCalls?.length ? 'tool-calls' : 'stop');
}

/** The turn's text, with the request's last message filled in. */
export function textOf(turn: LlmTurn, request: LlmRequest): string {
  return (turn.text ?? '').replaceAll('{{last}}', () => request.last);
}

/** A call's arguments as text. */
export function argumentsOf(call: LlmToolCall): string {
  return call.rawInput ?? JSON.stringify(call.input ?? {});
}

/** A text in small pieces that never split a surrogate pair. */
export function fragments(text: string, size: number): string[] {
  const characters = [...text];
  const pieces: string[] = [];
  for (let at = 0; at < characters.length; at += size) pieces.push(characters.slice(at, at + size).join(''));
  return pieces;
}
