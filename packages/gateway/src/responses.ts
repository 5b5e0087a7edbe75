import {
  ERROR_CODES,
  nodeLoad,
  parsePeerId,
  taskEvent,
  taskOutcome,
  taskPriority,
  taskState,
  toolDescriptor,
} from '@skein/protocol';
import { z } from 'zod';
import type {
  NetStatus,
  NodeEvent,
  NodeStatus,
  PeerMessage,
  PeerStatus,
  TaskDetail,
  TaskSummary,
  TurnEvent,
} from './backend.ts';
import type { CallEvent } from './call-events.ts';

const peerId = z.string().transform((text) => parsePeerId(text));
const errorCode = z.enum(ERROR_CODES);
const names = z.array(z.string());
const label = z.string().nullable();

/** The answer to a request that failed. */
export const publicError = z.object({
  code: errorCode,
  message: z.string(),
  retryAfterMs: z.number().exactOptional(),
});

export const nodeStatus: z.ZodType<NodeStatus> = z.object({
  name: z.string(),
  peerId,
  fingerprint: z.string(),
  version: z.string(),
  port: z.number(),
  startedAtMs: z.number(),
  brain: z.object({ name: z.string(), hint: label }).nullable(),
});

const offeredTool = toolDescriptor.extend({ name: z.string(), peer: z.string().exactOptional() });

const peerStatus: z.ZodType<PeerStatus> = z.object({
  id: peerId,
  name: z.string(),
  state: z.enum(['connected', 'connecting', 'disconnected']),
  trust: z.enum(['full', 'tool', 'read']),
  address: label,
  latencyMs: z.number().nullable(),
  lastSeenAtMs: z.number().nullable(),
  tools: z.array(offeredTool),
  dialect: z.enum(['skein', 'volenet']),
  transport: z.enum(['websocket', 'http']).nullable(),
  notProtected: names,
  brain: label,
  load: nodeLoad.nullable(),
  problem: label,
});

const nodeLabel = z.object({ id: peerId, name: z.string() });

const taskFields = {
  id: z.string(),
  origin: nodeLabel.nullable(),
  owner: nodeLabel.nullable(),
  state: taskState,
  attempt: z.number(),
  title: z.string(),
  session: z.string(),
  priority: taskPriority,
  acceptedAtMs: z.number(),
  updatedAtMs: z.number(),
  deadlineAtMs: z.number(),
  tokens: z.number(),
};
const taskSummary: z.ZodType<TaskSummary> = z.object(taskFields);
export const taskDetail: z.ZodType<TaskDetail> = z.object({
  ...taskFields,
  steps: z.array(z.object({ atMs: z.number(), attempt: z.number(), event: taskEvent })),
  outcome: taskOutcome.nullable(),
});
export const tasksAnswer = z.object({ tasks: z.array(taskSummary) });
export const taskStateAnswer = z.object({ state: taskState });

export const netStatus: z.ZodType<NetStatus> = z.object({
  load: nodeLoad,
  leader: z
    .object({
      mode: z.enum(['auto', 'forced', 'quorum']),
      leader: nodeLabel.nullable(),
      isMe: z.boolean(),
      term: z.number(),
      voters: z.array(nodeLabel),
      bestEffort: z.boolean(),
      note: z.string(),
      fix: z.string().nullable(),
    })
    .nullable(),
  schedules: z.array(
    z.object({
      name: z.string(),
      when: z.string(),
      nextAtMs: z.number().nullable(),
      lastAtMs: z.number().nullable(),
      lastRun: z.object({ atMs: z.number(), by: nodeLabel, isMe: z.boolean(), away: z.boolean() }).nullable(),
    }),
  ),
  needRestart: names,
});

export const peerMessage: z.ZodType<PeerMessage> = z.object({
  id: z.string(),
  peer: nodeLabel,
  direction: z.enum(['in', 'out']),
  atMs: z.number(),
  state: z.enum(['received', 'waiting', 'sent', 'refused']),
  text: z.string(),
  problem: label,
});
export const messagesAnswer = z.object({ messages: z.array(peerMessage) });

export const peersAnswer = z.object({ peers: z.array(peerStatus) });
export const toolsAnswer = z.object({ tools: z.array(offeredTool) });
export const sessionsAnswer = z.object({
  sessions: z.array(z.object({ id: z.string(), title: z.string(), updatedAtMs: z.number() })),
});
export const historyAnswer = z.object({
  id: z.string(),
  messages: z.array(z.object({ role: z.enum(['user', 'assistant']), text: z.string() })),
  tasks: z.array(z.string()),
});
export const confirmAnswer = z.object({ ok: z.literal(true) });

const heartbeat = z.object({ type: z.literal('heartbeat'), atMs: z.number() });
export type Heartbeat = z.infer<typeof heartbeat>;

const call = { id: z.string(), name: z.string(), peer: label };
const failure = publicError.extend({ type: z.literal('error') });

/** One line of POST /api/ask and of GET /api/tasks/:id/events. */
export const turnLine: z.ZodType<TurnEvent | Heartbeat> = z.discriminatedUnion('type', [
  heartbeat,
  z.object({ type: z.literal('task-accepted'), id: z.string(), sessionId: z.string(), text: z.string() }),
  z.object({ type: z.literal('turn-start'), turnId: z.string(), sessionId: z.string(), brain: z.string() }),
  z.object({ type: z.literal('text-delta'), text: z.string() }),
  z.object({ type: z.literal('tool-call'), ...call, input: z.unknown() }),
  z.object({ type: z.literal('tool-output'), id: z.string(), delta: z.string() }),
  z.object({ type: z.literal('tool-result'), ...call, ok: z.boolean(), ms: z.number(), output: z.json() }),
  z.object({ type: z.literal('confirm-request'), ...call, input: z.unknown(), reason: z.string() }),
  z.object({
    type: z.literal('answer'),
    text: z.string(),
    toolCalls: z.array(z.object({ name: z.string(), peer: label, ms: z.number(), ok: z.boolean() })),
  }),
  failure,
]);

/** One line of POST /api/call. */
export const callLine: z.ZodType<CallEvent | Heartbeat> = z.discriminatedUnion('type', [
  heartbeat,
  z.object({ type: z.literal('tool-output'), delta: z.string() }),
  z.object({ type: z.literal('tool-output-skipped'), characters: z.number() }),
  z.object({ type: z.literal('result'), output: z.json() }),
  failure,
]);

const peer = { atMs: z.number(), id: peerId, name: z.string() };

/** One line of GET /api/events. */
export const eventLine: z.ZodType<NodeEvent | Heartbeat> = z.discriminatedUnion('type', [
  heartbeat,
  z.object({ type: z.literal('peer-joined'), ...peer }),
  z.object({ type: z.literal('peer-left'), ...peer, reason: z.string() }),
  z.object({ type: z.literal('peer-problem'), ...peer, id: peerId.nullable(), problem: z.string() }),
  z.object({ type: z.literal('tools-changed'), ...peer, added: names, removed: names, redefined: names }),
  z.object({ type: z.literal('tool-served'), ...peer, tool: z.string(), ok: z.boolean(), ms: z.number() }),
  z.object({ type: z.literal('chat-message'), ...peer, text: z.string() }),
  z.object({ type: z.literal('leader-changed'), atMs: z.number(), leader: nodeLabel.nullable(), term: z.number() }),
  z.object({ type: z.literal('sessions-changed'), atMs: z.number() }),
  z.object({
    type: z.literal('task-ended'),
    atMs: z.number(),
    id: z.string(),
    state: taskState,
    title: z.string(),
    session: z.string(),
  }),
  z.object({ type: z.literal('config-reloaded'), atMs: z.number(), applied: names, needRestart: names }),
  z.object({ type: z.literal('config-rejected'), atMs: z.number(), problem: z.string() }),
]);
