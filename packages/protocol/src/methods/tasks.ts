import { z } from 'zod';
import { ERROR_CODES } from '../errors.ts';
import { conversationEntry, json } from './conversation.ts';
import { defineMethod } from './method.ts';
import { peerId } from './peer-id.ts';

/** Names one task at its origin, and is its idempotency key everywhere else. */
export const taskId = z.uuid();
/** Characters of what one task asks, at every door that takes one. */
export const TASK_TEXT_CHARS_MAX = 32_000;

export const taskPriority = z.enum(['urgent', 'normal', 'low']);
export type TaskPriority = z.infer<typeof taskPriority>;

/**
 * `queued` accepted here; `running` here; `forwarded` another node has it; the rest is final. `unknown`: it was cut off
 * while a tool that must never be repeated ran, so nobody can say whether that took effect.
 */
export const taskState = z.enum(['queued', 'running', 'forwarded', 'done', 'failed', 'canceled', 'unknown']);
export type TaskState = z.infer<typeof taskState>;

/** How a task ended, as its origin and its worker keep it. */
export const taskOutcome = z.object({
  state: z.enum(['done', 'failed', 'canceled', 'unknown']),
  /** The answer, for `done`. */
  text: z.string().max(400_000).optional(),
  toolCalls: z
    .array(z.object({ name: z.string().max(200), peer: z.string().max(80).nullable(), ms: z.number(), ok: z.boolean() }))
    .max(1_000)
    .readonly()
    .default([]),
  /** Why, for the others. */
  error: z.object({ code: z.enum(ERROR_CODES), message: z.string().max(4_000) }).optional(),
  /** Tokens the brain reported, read and written. */
  tokens: z.int().min(0).default(0),
});
export type TaskOutcome = z.infer<typeof taskOutcome>;

/** What a running task tells, in order. Keeps to the events an agent's turn tells. */
export const taskEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('turn-start'), turnId: z.string(), sessionId: z.string(), brain: z.string() }),
  z.object({ type: z.literal('text-delta'), text: z.string() }),
  z.object({
    type: z.literal('tool-call'),
    id: z.string(),
    name: z.string(),
    peer: z.string().nullable(),
    input: z.unknown(),
  }),
  z.object({ type: z.literal('tool-output'), id: z.string(), delta: z.string() }),
  z.object({
    type: z.literal('tool-result'),
    id: z.string(),
    name: z.string(),
    peer: z.string().nullable(),
    ok: z.boolean(),
    ms: z.number(),
    output: json,
  }),
  z.object({
    type: z.literal('confirm-request'),
    id: z.string(),
    name: z.string(),
    peer: z.string().nullable(),
    input: z.unknown(),
    reason: z.string(),
  }),
  /** A step is on the worker's disk: with it, another brain could go on from here. */
  z.object({ type: z.literal('step'), entries: z.array(conversationEntry).max(256).readonly() }),
  /** A tool that must never be repeated is about to run; without the `tool-result` of this id, its end is not known. */
  z.object({ type: z.literal('intent'), id: z.string(), name: z.string() }),
]);
export type TaskEvent = z.infer<typeof taskEvent>;

/**
 * Hands a task over. Answered once the receiver has it on its disk; the same task again is answered the same and has no
 * further effect. Refused with `busy` (and when to try again) by a node whose queue is full, `denied` for a path that
 * comes back to the receiver or is too long.
 */
export const tasksSubmit = defineMethod({
  name: 'tasks.submit',
  grant: 'brain',
  params: z.object({
    task: taskId,
    /** Grows with each node the task is given to anew; a lower one than was seen is refused with `conflict`. */
    attempt: z.int().min(1).max(1_000),
    text: z.string().min(1).max(TASK_TEXT_CHARS_MAX),
    session: z.string().min(1).max(128),
    priority: taskPriority,
    /** Somebody at the origin can answer a `confirm-request`. */
    interactive: z.boolean(),
    /** Where the text is from, when that is outside the origin. */
    source: z.string().max(200).optional(),
    /** The conversation before it, and after its own text the steps another node has made: it goes on from there. */
    history: z.array(conversationEntry).max(512).readonly(),
    steps: z.array(conversationEntry).max(512).readonly(),
    /** The nodes it came through, the origin first. */
    path: z.array(peerId).min(1).max(8).readonly(),
    /** How long it may still take. */
    remainingMs: z.int().min(1).max(86_400_000),
  }),
  result: z.object({ state: taskState }),
  idempotent: true,
});

/** Streams what a task tells from its event number `after` on, and ends with its outcome. */
export const tasksWatch = defineMethod({
  name: 'tasks.watch',
  grant: 'brain',
  params: z.object({ task: taskId, after: z.int().min(0) }),
  part: z.object({ seq: z.int().min(1), event: taskEvent }),
  result: taskOutcome,
  idempotent: true,
});

/** Ends a task; answered with the state it has then, which is another when it had ended already. */
export const tasksCancel = defineMethod({
  name: 'tasks.cancel',
  grant: 'brain',
  params: z.object({ task: taskId }),
  result: z.object({ state: taskState }),
  idempotent: true,
});

/** The answer of the person at the origin to a `confirm-request` of a task; `waiting` is false when nothing waits for it. */
export const tasksConfirm = defineMethod({
  name: 'tasks.confirm',
  grant: 'brain',
  params: z.object({ task: taskId, id: z.string().max(100), approve: z.boolean() }),
  result: z.object({ waiting: z.boolean() }),
  idempotent: true,
});

/**
 * The one who handed a task over has the `intent` of this id on its disk: only now may the tool run. So a tool that must
 * never be repeated runs nowhere without the task's origin knowing, and a worker that is cut off begins none.
 */
export const tasksAcknowledge = defineMethod({
  name: 'tasks.acknowledge',
  grant: 'brain',
  params: z.object({ task: taskId, id: z.string().max(200) }),
  result: z.object({}),
  idempotent: true,
});
