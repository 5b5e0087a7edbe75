import { depthWithin, ERROR_CODES, retryAfter, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { VOLE_PAYLOAD_DEPTH_MAX } from './limits.ts';
import { sealedBox } from './seal.ts';

const label = z.string().max(200);
const reference = z.string().min(1).max(128);
const longText = z.string().max(400_000);
const epochMs = z.number();

/** What a node says of itself. Claims, but for the key line, which must be the sender's. */
const announcement = z.object({
  name: label,
  publicKey: z.string().max(8_000),
  endpoint: z.string().max(500).catch(''),
  capabilities: z.array(label).max(1_000).catch([]),
  role: z.enum(['coordinator', 'worker', 'peer']).catch('peer'),
  version: z.string().max(50).catch('unknown'),
  xPublicKey: z.string().max(200).optional().catch(undefined),
  mlkemPublicKey: z.string().max(4_000).optional().catch(undefined),
  /** Ours alone: says that the sender echoes pings, and takes as many messages as we do. */
  software: z.string().max(100).optional().catch(undefined),
});
export type Announcement = z.infer<typeof announcement>;

/** One offered tool. `input` and `effect` are ours alone; VoleNet sends no schemas. */
export const toolEntry = z.object({
  name: z.string().max(200),
  description: z.string().max(20_000).catch(''),
  input: z.record(z.string(), z.json()).optional().catch(undefined),
  effect: z.enum(['read', 'transactional', 'idempotent', 'at-most-once']).optional().catch(undefined),
});
export type ToolEntry = z.infer<typeof toolEntry>;

const memoryEntry = z.object({
  file: label.min(1),
  source: label.catch(''),
  content: longText.min(1),
  mode: z.enum(['overwrite', 'append']),
  timestamp: epochMs,
  version: z.number().catch(1),
});
/** One write to a memory. Whose it is says the signature, not the entry. */
export type VoleMemoryEntry = z.infer<typeof memoryEntry>;

const memoryHit = z.object({
  file: z.string().max(500),
  source: label.catch(''),
  score: z.number().catch(0),
  snippet: z.string().max(10_000),
});
export type VoleMemoryHit = z.infer<typeof memoryHit>;

const memoryQuery = z.object({
  query: z.string().min(1).max(10_000),
  source: label.optional().catch(undefined),
  limit: z.int().min(1).max(100).catch(10),
  requestId: reference,
});
export type VoleMemoryQuery = z.infer<typeof memoryQuery>;

const sessionEntry = z.object({
  // A name, never a path: some keep a folder for each.
  sessionId: z
    .string()
    .max(128)
    .regex(/^(?!\.+$)[^/\\\p{Cc}]+$/u),
  role: z.enum(['user', 'brain']),
  content: longText.min(1),
  timestamp: epochMs,
});
/** One turn of a conversation. */
export type VoleSessionEntry = z.infer<typeof sessionEntry>;

const task = z.object({
  taskId: reference,
  input: z.string().min(1).max(100_000),
  maxIterations: z.int().min(1).max(1_000).optional().catch(undefined),
  agentProfile: label.optional().catch(undefined),
  // These two are never left out for not fitting: without them the task would be another one.
  context: longText.nullish(),
  /** Not empty: this is somebody talking, under this name, and no order. */
  fromName: z.string().nullish(),
});
export type VoleTask = z.infer<typeof task>;

/** How a delegated task ended. */
const taskEnd = z.object({
  taskId: reference,
  status: z.enum(['completed', 'failed', 'cancelled']),
  result: longText.optional(),
  error: z.string().max(20_000).optional(),
});
export type VoleTaskEnd = z.infer<typeof taskEnd>;

interface Row {
  readonly payload: z.ZodType;
  /** May be addressed to everybody: then any holder can pass it on while it is fresh, so it must say nothing to one alone. */
  readonly broadcast?: true;
  /** Travels as it is, also between those who seal. */
  readonly open?: true;
}

const nothing = z.unknown().transform(() => ({}));

/** The one table of what is spoken. */
const ROWS = {
  ping: { payload: z.object({ timestamp: epochMs.catch(0) }).catch({ timestamp: 0 }), open: true },
  pong: {
    payload: z.object({ timestamp: epochMs.catch(0), echo: reference.optional().catch(undefined) }).catch({ timestamp: 0 }),
    open: true,
  },
  discover: { payload: announcement, broadcast: true, open: true },
  'discover:response': { payload: announcement, open: true },
  'tool:list': { payload: nothing },
  'tool:list:response': { payload: z.array(z.unknown()).max(4_096) },
  'tool:call': { payload: z.object({ callId: reference, toolName: z.string().max(200), params: z.unknown().optional() }) },
  'tool:result': {
    payload: z.object({
      callId: reference,
      success: z.boolean(),
      output: z.unknown().optional(),
      error: z.string().max(20_000).optional().catch(undefined),
      /** Ours alone: what kind of error it is. */
      code: z.enum(ERROR_CODES).optional().catch(undefined),
      retryAfterMs: retryAfter.optional().catch(undefined),
    }),
  },
  'task:delegate': { payload: task },
  'task:result': { payload: taskEnd },
  'task:status': { payload: nothing },
  'memory:sync': { payload: memoryEntry, broadcast: true },
  'memory:search': { payload: memoryQuery, broadcast: true },
  'memory:results': {
    payload: z.object({
      requestId: reference,
      results: z.array(memoryHit).max(1_000),
      /** Ours alone: why nothing was looked for. */
      error: z.string().max(20_000).optional().catch(undefined),
    }),
  },
  'session:sync': { payload: sessionEntry, broadcast: true },
  'leader:heartbeat': { payload: nothing, broadcast: true, open: true },
  'leader:claim': { payload: nothing, broadcast: true, open: true },
  'leader:ack': { payload: z.object({ accepted: z.boolean() }), open: true },
  'chat:message': { payload: z.object({ text: z.string().min(1).max(100_000), fromName: label.catch('') }) },
  'sealed:direct': { payload: z.object({ box: sealedBox }), open: true },
} as const satisfies Record<string, Row>;

/** A kind of message this node speaks. */
export type VoleType = keyof typeof ROWS;
/** What a message of one kind holds. */
export type VolePayload<T extends VoleType> = z.infer<(typeof ROWS)[T]['payload']>;
/** A payload with its kind. */
export type VoleBody = { [T in VoleType]: { readonly type: T; readonly payload: VolePayload<T> } }[VoleType];

/** Kinds that exist and are not spoken here: relaying, files, an authentication nobody sends. */
const UNSPOKEN = /^(?:auth:|relay:|file:|sealed$|roster$)/;

/** True for a kind of message this node speaks. */
function isVoleType(type: string): type is VoleType {
  return Object.hasOwn(ROWS, type);
}

/** True when a message of this kind may be addressed to everybody. */
export function mayBroadcast(type: string): boolean {
  if (!isVoleType(type)) return false;
  const row: Row = ROWS[type];
  return row.broadcast === true;
}

/** True when a message of this kind is sealed for those who can open it. */
export function isSealable(type: VoleType): boolean {
  const row: Row = ROWS[type];
  return row.open !== true;
}

/** What waits for an answer over there, and the member of its payload that names it. */
const REQUEST_IDS = { 'tool:call': 'callId', 'task:delegate': 'taskId', 'memory:search': 'requestId' } as const;
/** Characters of an id that is sent back with a refusal. */
const ANSWERED_ID_MAX = 1_024;

/** The answers to those, and the member that names what each answers. */
const ANSWER_IDS = { 'tool:result': 'callId', 'task:result': 'taskId', 'memory:results': 'requestId' } as const;

/** A kind of message that whoever sends it waits for the answer to. */
type VoleRequest = keyof typeof REQUEST_IDS;
/** A kind of message that is such an answer. */
type VoleAnswer = keyof typeof ANSWER_IDS;

/** A request whose payload does not fit, and the id by which its sender waits for the answer. */
export interface UnfitRequest {
  readonly type: 'unfit';
  readonly request: VoleRequest;
  readonly id: string | number;
  readonly error: SkeinError;
}

/** An answer whose payload does not fit, and the id by which this node may wait for it. */
export interface UnfitAnswer {
  readonly type: 'unfit-answer';
  readonly answer: VoleAnswer;
  readonly id: string;
  readonly error: SkeinError;
}

/** What a verified message holds. */
export type ReadBody = VoleBody | UnfitRequest | UnfitAnswer;

/** The request in a message and its id; undefined for what nobody waits for. */
export function requestOf(body: ReadBody): Pick<UnfitRequest, 'request' | 'id'> | undefined {
  switch (body.type) {
    case 'unfit':
      return body;
    case 'tool:call':
      return { request: body.type, id: body.payload.callId };
    case 'task:delegate':
      return { request: body.type, id: body.payload.taskId };
    case 'memory:search':
      return { request: body.type, id: body.payload.requestId };
    default:
      return undefined;
  }
}

/**
 * A payload by its kind. A request that does not fit is given as such where it can be answered, and an answer where it says
 * to what.
 * @throws SkeinError `unsupported` for a kind that is not spoken, `invalid` for a payload that does not fit.
 */
export function parseBody(type: string, payload: unknown): ReadBody {
  if (!isVoleType(type)) {
    const known = UNSPOKEN.test(type) ? 'is not spoken here' : 'does not exist';
    throw new SkeinError(`The kind of message "${type.slice(0, 60)}" ${known}`, { code: 'unsupported' });
  }
  const parsed = depthWithin(payload, VOLE_PAYLOAD_DEPTH_MAX) ? ROWS[type].payload.safeParse(payload) : undefined;
  // Proven: the row of this type parsed it.
  if (parsed?.success) return { type, payload: parsed.data } as VoleBody;
  const why =
    parsed?.error.issues.map(({ path, message }) => [...path.map(String), message].join(': ')).join('; ') ??
    `it is nested over ${VOLE_PAYLOAD_DEPTH_MAX} levels deep`;
  const error = new SkeinError(`The payload of ${type} does not fit: ${why.slice(0, 500)}`, { code: 'invalid' });
  if (isRequest(type)) {
    const id = idIn(payload, REQUEST_IDS[type]);
    if (id !== undefined) return { type: 'unfit', request: type, id, error };
  } else if (isAnswer(type)) {
    const id = idIn(payload, ANSWER_IDS[type]);
    if (typeof id === 'string') return { type: 'unfit-answer', answer: type, id, error };
  }
  throw error;
}

function isRequest(type: VoleType): type is VoleRequest {
  return Object.hasOwn(REQUEST_IDS, type);
}

function isAnswer(type: VoleType): type is VoleAnswer {
  return Object.hasOwn(ANSWER_IDS, type);
}

/** The id as it came, whatever it is: only who sent it knows it. */
function idIn(payload: unknown, member: string): string | number | undefined {
  if (typeof payload !== 'object' || payload === null || !Object.hasOwn(payload, member)) return undefined;
  const id: unknown = Reflect.get(payload, member);
  if (typeof id === 'number') return id;
  return typeof id === 'string' && id.length <= ANSWERED_ID_MAX ? id : undefined;
}
