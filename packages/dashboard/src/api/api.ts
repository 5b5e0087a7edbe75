import type { OfferedTool } from '@skein/agent';
import type { CallEvent, NodeEvent, NodeStatus, PeerStatus, SessionSummary, TurnEvent } from '@skein/gateway';
import type { PublicError } from '@skein/protocol';
import { ApiError } from './api-error.ts';
import { readLines } from './lines.ts';

/** Sent on every stream that has nothing else to tell. */
export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly atMs: number;
}

export interface PastMessage {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}

/** A conversation as the node keeps it. */
export interface PastChat {
  readonly messages: readonly PastMessage[];
  /** The ids of what is being worked on in it, the oldest first. */
  readonly tasks: readonly string[];
}

/** The node's HTTP API as this page uses it. */
export class Api {
  readonly #token: string;

  constructor(parts: { readonly token: string }) {
    this.#token = parts.token;
  }

  async status(signal: AbortSignal): Promise<NodeStatus> {
    return await this.#get<NodeStatus>('/api/status', signal);
  }

  async peers(signal: AbortSignal): Promise<readonly PeerStatus[]> {
    return (await this.#get<{ peers: PeerStatus[] }>('/api/peers', signal)).peers;
  }

  async tools(signal: AbortSignal): Promise<readonly OfferedTool[]> {
    return (await this.#get<{ tools: OfferedTool[] }>('/api/tools', signal)).tools;
  }

  async sessions(signal: AbortSignal): Promise<readonly SessionSummary[]> {
    return (await this.#get<{ sessions: SessionSummary[] }>('/api/sessions', signal)).sessions;
  }

  async history(sessionId: string, signal: AbortSignal): Promise<PastChat> {
    return await this.#get<PastChat>(`/api/sessions/${encodeURIComponent(sessionId)}`, signal);
  }

  /** `id` names the task. Hanging up leaves the work be: `cancelTask` ends it, `watchTask` shows it again. */
  async *ask(
    request: { readonly id: string; readonly text: string; readonly sessionId: string },
    signal: AbortSignal,
  ): AsyncGenerator<TurnEvent | Heartbeat> {
    yield* readLines(await this.#send('/api/ask', { body: { ...request, interactive: true }, signal }));
  }

  async *watchTask(id: string, signal: AbortSignal): AsyncGenerator<TurnEvent | Heartbeat> {
    yield* readLines(await this.#send(`/api/tasks/${encodeURIComponent(id)}/events`, { signal }));
  }

  async cancelTask(id: string): Promise<void> {
    await this.#send(`/api/tasks/${encodeURIComponent(id)}/cancel`, { body: {} });
  }

  async confirm(id: string, approve: boolean): Promise<void> {
    await this.#send('/api/confirm', { body: { id, approve } });
  }

  async *call(name: string, input: unknown, signal: AbortSignal): AsyncGenerator<CallEvent | Heartbeat> {
    yield* readLines(await this.#send('/api/call', { body: { name, input }, signal }));
  }

  async *events(signal: AbortSignal): AsyncGenerator<NodeEvent | Heartbeat> {
    yield* readLines(await this.#send('/api/events', { signal }));
  }

  async #get<T>(path: string, signal: AbortSignal): Promise<T> {
    const response = await this.#send(path, { signal });
    // Proven: the policy lets this page talk to the node that served it only, and both are one build.
    return (await response.json()) as T;
  }

  async #send(path: string, request: { readonly body?: object; readonly signal?: AbortSignal }): Promise<Response> {
    const response = await this.#fetch(path, request);
    if (response.ok) return response;
    const refusal: PublicError | null = await response.json().catch(() => null);
    if (refusal === null) throw new ApiError('unavailable', `The node answers with HTTP ${response.status}`);
    throw new ApiError(refusal.code, refusal.message, refusal.retryAfterMs);
  }

  async #fetch(path: string, { body, signal }: { readonly body?: object; readonly signal?: AbortSignal }): Promise<Response> {
    try {
      return await fetch(path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          Authorization: `Bearer ${this.#token}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (thrown) {
      throw ApiError.from(thrown);
    }
  }
}
