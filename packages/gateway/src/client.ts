import type { OfferedTool } from '@skein/agent';
import { type Json, SkeinError, type TaskState } from '@skein/protocol';
import type { z } from 'zod';
import type {
  NetStatus,
  NodeEvent,
  NodeStatus,
  PeerMessage,
  PeerStatus,
  SessionSummary,
  TaskDetail,
  TaskSummary,
  TurnEvent,
} from './backend.ts';
import type { AskRequest, MessageRequest } from './requests.ts';
import {
  callLine,
  confirmAnswer,
  eventLine,
  type Heartbeat,
  historyAnswer,
  messagesAnswer,
  netStatus,
  nodeStatus,
  peerMessage,
  peersAnswer,
  publicError,
  sessionsAnswer,
  taskDetail,
  taskStateAnswer,
  tasksAnswer,
  toolsAnswer,
  turnLine,
} from './responses.ts';

export interface GatewayClientParts {
  /** `http://127.0.0.1:7777` */
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: typeof globalThis.fetch;
  /** A stream without a line for this long means that the node is gone; it tells a heartbeat every 15 s. */
  readonly silenceMs?: number;
}

interface Waiting {
  readonly signal?: AbortSignal;
}

/** A node's HTTP API, typed. Every failure is a SkeinError, `unavailable` when no node answers. */
export interface GatewayClient {
  status(options?: Waiting): Promise<NodeStatus>;
  peers(options?: Waiting): Promise<readonly PeerStatus[]>;
  tools(options?: Waiting): Promise<readonly OfferedTool[]>;
  sessions(options?: Waiting): Promise<readonly SessionSummary[]>;
  history(
    sessionId: string,
    options?: Waiting,
  ): Promise<readonly { readonly role: 'user' | 'assistant'; readonly text: string }[]>;
  /**
   * One turn; `answer` or `error` is its last event. Leaving the loop, or the signal, ends what is told: work that is
   * accepted goes on, and `cancelTask` ends it.
   */
  ask(request: AskRequest, options?: Waiting): AsyncIterable<TurnEvent>;
  /** A task from its beginning on, as `ask` tells it. @throws SkeinError `not-found`, `invalid`. */
  watchTask(id: string, options?: Waiting): AsyncIterable<TurnEvent>;
  /** @throws SkeinError `not-found` when nothing with this id waits. */
  confirm(id: string, approve: boolean, options?: Waiting): Promise<void>;
  /** Runs a tool and resolves with its output. */
  call(
    request: { readonly name: string; readonly input: Readonly<Record<string, Json>> },
    options?: Waiting & { readonly onDelta?: (delta: string) => void },
  ): Promise<Json>;
  tasks(options?: Waiting): Promise<readonly TaskSummary[]>;
  /** By its id, or a beginning that no other has. */
  task(id: string, options?: Waiting): Promise<TaskDetail>;
  cancelTask(id: string, options?: Waiting): Promise<TaskState>;
  retryTask(id: string, options?: Waiting): Promise<TaskState>;
  net(options?: Waiting): Promise<NetStatus>;
  /** The latest messages with a peer, named by its name or id, or with all; the oldest first. */
  messages(peer?: string, options?: Waiting): Promise<readonly PeerMessage[]>;
  /** Sends a message to a peer, or keeps it until that is back. */
  sendMessage(message: MessageRequest, options?: Waiting): Promise<PeerMessage>;
  /** From now on; ends with `unavailable` when the node is gone. */
  events(options?: Waiting): AsyncIterable<NodeEvent>;
}

const SILENCE_MS = 45_000;

/** Characters of one line; a longer one is not from a gateway. */
const MAX_LINE = 32 * 1024 * 1024;

/** The client of `createGateway`. Creating it connects to nothing. */
export function createGatewayClient(parts: GatewayClientParts): GatewayClient {
  const { silenceMs = SILENCE_MS } = parts;
  const send = async (path: string, body: object | undefined, options: Waiting): Promise<Response> => {
    try {
      const response = await parts.fetch(new URL(path, parts.baseUrl), {
        method: body === undefined ? 'GET' : 'POST',
        redirect: 'error',
        headers: {
          Authorization: `Bearer ${parts.token}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      if (response.ok) return response;
      throw await refusal(response);
    } catch (thrown) {
      throw asClientError(thrown, parts.baseUrl);
    }
  };
  const get = async <T extends z.ZodType>(path: string, schema: T, options: Waiting = {}): Promise<z.infer<T>> => {
    const response = await send(path, undefined, options);
    return parseAnswer(schema, await bodyOf(response));
  };
  const bodyOf = async (response: Response): Promise<unknown> => {
    try {
      return parseLine(await response.text());
    } catch (thrown) {
      throw asClientError(thrown, parts.baseUrl);
    }
  };
  async function* lines<T extends { readonly type: string }>(
    schema: z.ZodType<T | Heartbeat>,
    request: { readonly path: string; readonly body?: object },
    options: Waiting,
  ): AsyncGenerator<T> {
    const connection = new AbortController();
    const silent = () => connection.abort(goneMidway(parts.baseUrl));
    const stop = () => connection.abort(options.signal?.reason);
    options.signal?.addEventListener('abort', stop, { once: true });
    let timer = setTimeout(silent, silenceMs);
    try {
      options.signal?.throwIfAborted();
      const response = await send(request.path, request.body, { signal: connection.signal });
      for await (const line of textLines(response)) {
        clearTimeout(timer);
        const parsed = parseAnswer(schema, parseLine(line));
        if (!isHeartbeat(parsed)) yield parsed;
        timer = setTimeout(silent, silenceMs);
      }
    } catch (thrown) {
      throw asClientError(thrown, parts.baseUrl);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', stop);
      connection.abort();
    }
  }

  const changeTask = async (id: string, verb: 'cancel' | 'retry', options: Waiting = {}): Promise<TaskState> => {
    const response = await send(`/api/tasks/${encodeURIComponent(id)}/${verb}`, {}, options);
    return parseAnswer(taskStateAnswer, await bodyOf(response)).state;
  };

  async function* turnLines(
    request: { readonly path: string; readonly body?: object },
    options: Waiting = {},
  ): AsyncGenerator<TurnEvent> {
    for await (const event of lines(turnLine, request, options)) {
      yield event;
      if (event.type === 'answer' || event.type === 'error') return;
    }
    throw goneMidway(parts.baseUrl);
  }

  return {
    status: (options) => get('/api/status', nodeStatus, options),
    peers: async (options) => (await get('/api/peers', peersAnswer, options)).peers,
    tools: async (options) => (await get('/api/tools', toolsAnswer, options)).tools,
    sessions: async (options) => (await get('/api/sessions', sessionsAnswer, options)).sessions,
    history: async (sessionId, options) =>
      (await get(`/api/sessions/${encodeURIComponent(sessionId)}`, historyAnswer, options)).messages,
    ask: (request, options) => turnLines({ path: '/api/ask', body: request }, options),
    watchTask: (id, options) => turnLines({ path: `/api/tasks/${encodeURIComponent(id)}/events` }, options),
    async confirm(id, approve, options = {}) {
      const response = await send('/api/confirm', { id, approve }, options);
      parseAnswer(confirmAnswer, await bodyOf(response));
    },
    async call(request, options = {}) {
      for await (const event of lines(callLine, { path: '/api/call', body: request }, options)) {
        switch (event.type) {
          case 'tool-output':
            options.onDelta?.(event.delta);
            break;
          case 'tool-output-skipped':
            options.onDelta?.(`\n[${event.characters} characters left out]\n`);
            break;
          case 'result':
            return event.output;
          case 'error':
            throw new SkeinError(event.message, event);
        }
      }
      throw goneMidway(parts.baseUrl);
    },
    tasks: async (options) => (await get('/api/tasks', tasksAnswer, options)).tasks,
    task: (id, options) => get(`/api/tasks/${encodeURIComponent(id)}`, taskDetail, options),
    cancelTask: (id, options) => changeTask(id, 'cancel', options),
    retryTask: (id, options) => changeTask(id, 'retry', options),
    net: (options) => get('/api/net', netStatus, options),
    async messages(peer, options) {
      const path = peer === undefined ? '' : `/${encodeURIComponent(peer)}`;
      return (await get(`/api/net/messages${path}`, messagesAnswer, options)).messages;
    },
    async sendMessage(message, options = {}) {
      return parseAnswer(peerMessage, await bodyOf(await send('/api/net/messages', message, options)));
    },
    async *events(options = {}) {
      yield* lines(eventLine, { path: '/api/events' }, options);
      throw goneMidway(parts.baseUrl);
    },
  };
}

function isHeartbeat(line: { readonly type: string }): line is Heartbeat {
  return line.type === 'heartbeat';
}

async function* textLines(response: Response): AsyncGenerator<string> {
  if (response.body === null) return;
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split('\n');
    rest = whole.pop() ?? '';
    if (rest.length > MAX_LINE) throw new SkeinError('The node sent a line without end', { code: 'too-large' });
    for (const line of whole) if (line !== '') yield line;
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new SkeinError('What answers there is not a Skein node: it does not send JSON', { code: 'unsupported', cause });
  }
}

function parseAnswer<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SkeinError('What answers there is not a Skein node of this version', { code: 'unsupported', cause: parsed.error });
}

async function refusal(response: Response): Promise<SkeinError> {
  const parsed = publicError.safeParse(await response.json().catch(() => null));
  if (parsed.success) return new SkeinError(parsed.data.message, parsed.data);
  return new SkeinError(`What answers there is not a Skein node: HTTP ${response.status}`, { code: 'unsupported' });
}

function goneMidway(baseUrl: string): SkeinError {
  return new SkeinError(`The node at ${baseUrl} went away before it was done`, { code: 'unavailable' });
}

function asClientError(thrown: unknown, baseUrl: string): SkeinError {
  const error = SkeinError.from(thrown);
  // What fetch and its body raise for a lost connection is a TypeError.
  if (error.code !== 'internal' || !(thrown instanceof TypeError)) return error;
  return new SkeinError(`No node answers at ${baseUrl}; is it running?`, { code: 'unavailable', cause: thrown });
}
