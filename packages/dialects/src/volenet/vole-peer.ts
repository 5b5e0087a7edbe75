import { randomUUID } from 'node:crypto';
import type { Tool } from '@skein/agent';
import type { Clock } from '@skein/mesh';
import { type Json, type PeerId, SkeinError, toolName } from '@skein/protocol';
import { VOLE_CALL_MS, VOLE_SEARCH_MS, VOLE_TASK_MS, VOLE_TOOLS_MAX } from './limits.ts';
import type { Encryption } from './message-writer.ts';
import { notProtected } from './not-protected.ts';
import {
  type ToolEntry,
  toolEntry,
  type UnfitAnswer,
  type VoleMemoryHit,
  type VoleMemoryQuery,
  type VolePayload,
  type VoleTask,
  type VoleTaskEnd,
} from './payloads.ts';
import type { PeerLink } from './peer-link.ts';
import { PendingAnswers } from './pending-answers.ts';
import type { VoleId } from './vole-id.ts';

const DESCRIPTION_CHARS_MAX = 2_000;

/** How long an answer may take, and what stops waiting for it. Nothing stops the peer: VoleNet knows no cancelling. */
export interface VoleCallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface VolePeerParts {
  readonly link: PeerLink;
  /** The label its key has here. */
  readonly name: () => string;
  readonly clock: Clock;
  readonly encryption: Encryption;
  readonly isHybrid: () => boolean;
}

/** A VoleNet node whose key is trusted here: what can be asked of it. */
export class VolePeer {
  readonly id: PeerId;
  readonly voleId: VoleId;
  readonly #parts: VolePeerParts;
  readonly #calls: PendingAnswers<VolePayload<'tool:result'>>;
  readonly #tasks: PendingAnswers<VoleTaskEnd>;
  readonly #searches: PendingAnswers<readonly VoleMemoryHit[]>;
  #tools: readonly Tool[] = [];
  #offered = '';

  constructor(parts: VolePeerParts) {
    this.#parts = parts;
    this.id = parts.link.id;
    this.voleId = parts.link.voleId;
    this.#calls = new PendingAnswers(parts.clock);
    this.#tasks = new PendingAnswers(parts.clock);
    this.#searches = new PendingAnswers(parts.clock);
  }

  get name(): string {
    return this.#parts.name();
  }

  get isConnected(): boolean {
    return this.#parts.link.isConnected;
  }

  /** `http` where no WebSocket could be had. */
  get transport(): 'websocket' | 'http' | 'none' {
    return this.#parts.link.transport;
  }

  /** The last round trip of a ping. */
  get latencyMs(): number | undefined {
    return this.#parts.link.latencyMs;
  }

  /** What it says of itself; claims, to be shown and never to decide by. */
  get claims():
    | { readonly name: string; readonly role: string; readonly version: string; readonly endpoint: string }
    | undefined {
    const { announced } = this.#parts.link;
    if (announced === undefined) return undefined;
    const { name, role, version, endpoint, software } = announced;
    return { name, role, version: software ?? version, endpoint };
  }

  /** The tools it offers, under its own name alone; empty while it is away. */
  get tools(): readonly Tool[] {
    return this.#tools;
  }

  /** Questions it owes an answer to. */
  get pending(): number {
    return this.#calls.size + this.#tasks.size + this.#searches.size;
  }

  /** What its protocol does not give, in sentences for people. */
  get notProtected(): readonly string[] {
    const { link, encryption, isHybrid } = this.#parts;
    return notProtected({ link, encryption, isHybrid: isHybrid() });
  }

  /**
   * Has it run one of its tools.
   * @throws SkeinError `unavailable`, `deadline-exceeded`, `canceled`, `busy`, `denied`, `not-found`, `too-large`, and
   * `invalid` for an error of the tool, with its text, and for an answer that does not fit.
   */
  async callTool(name: string, params: Readonly<Record<string, unknown>>, options: VoleCallOptions = {}): Promise<Json> {
    const callId = randomUUID();
    const result = await this.#ask(this.#calls, callId, {
      what: `${this.name}/${name}`,
      timeoutMs: options.timeoutMs ?? VOLE_CALL_MS,
      signal: options.signal,
      send: () => this.#parts.link.send('tool:call', { callId, params, toolName: name }),
    });
    // Proven: it came out of JSON.parse.
    if (result.success) return (result.output ?? null) as Json;
    throw toolError(`${this.name}/${name}`, result);
  }

  /** Has its brain do a task. An error of the task is in the answer. @throws SkeinError as `callTool`. */
  async delegate(task: Omit<VoleTask, 'taskId'>, options: VoleCallOptions = {}): Promise<Omit<VoleTaskEnd, 'taskId'>> {
    const taskId = randomUUID();
    const { taskId: _id, ...end } = await this.#ask(this.#tasks, taskId, {
      what: `A task for ${this.name}`,
      timeoutMs: options.timeoutMs ?? VOLE_TASK_MS,
      signal: options.signal,
      send: () => this.#parts.link.send('task:delegate', { ...task, taskId }),
    });
    return end;
  }

  /** Searches its memory. @throws SkeinError as `callTool`; `deadline-exceeded` too from one that shares none. */
  searchMemory(query: Omit<VoleMemoryQuery, 'requestId'>, options: VoleCallOptions = {}): Promise<readonly VoleMemoryHit[]> {
    const requestId = randomUUID();
    return this.#ask(this.#searches, requestId, {
      what: `A search of ${this.name}`,
      timeoutMs: options.timeoutMs ?? VOLE_SEARCH_MS,
      signal: options.signal,
      send: () => this.#parts.link.send('memory:search', { ...query, requestId }),
    });
  }

  /** Says something to it, for people. Nothing tells whether it arrived. @throws SkeinError `unavailable`, `busy`. */
  sendChat(text: string, fromName: string): Promise<void> {
    return this.#parts.link.send('chat:message', { text, fromName });
  }

  /** Tells it that this node wants to lead. */
  claimLead(): Promise<void> {
    return this.#parts.link.send('leader:claim', {});
  }

  /** Takes an answer of this very peer. False when nothing waits for it. */
  settle(body: { type: 'tool:result'; payload: VolePayload<'tool:result'> }): boolean;
  settle(body: { type: 'task:result'; payload: VoleTaskEnd }): boolean;
  settle(body: { type: 'memory:results'; payload: VolePayload<'memory:results'> }): boolean;
  settle(
    body:
      | { type: 'tool:result'; payload: VolePayload<'tool:result'> }
      | { type: 'task:result'; payload: VoleTaskEnd }
      | { type: 'memory:results'; payload: VolePayload<'memory:results'> },
  ): boolean {
    switch (body.type) {
      case 'tool:result':
        return this.#calls.settle(body.payload.callId, body.payload);
      case 'task:result':
        return this.#tasks.settle(body.payload.taskId, body.payload);
      case 'memory:results': {
        const { requestId, results, error } = body.payload;
        if (error === undefined) return this.#searches.settle(requestId, results);
        const why = new SkeinError(`${this.name} did not search: ${error.slice(0, 2_000)}`, { code: 'unavailable' });
        return this.#searches.fail(requestId, why);
      }
    }
  }

  /** Ends what waits for an answer of this very peer that came and does not fit. False when nothing waits for it. */
  settleUnfit({ answer, id, error }: UnfitAnswer): boolean {
    const pending = { 'tool:result': this.#calls, 'task:result': this.#tasks, 'memory:results': this.#searches }[answer];
    const why = `${this.name} answered with something that cannot be taken here: ${error.message}`;
    return pending.fail(id, new SkeinError(why, { code: 'invalid', cause: error }));
  }

  /** Takes its list of tools, asked for or not; what is no tool in it is left out. True when it is another than before. */
  offer(list: readonly unknown[]): boolean {
    const offered = JSON.stringify(list);
    if (offered === this.#offered || !this.isConnected) return false;
    this.#offered = offered;
    const entries = new Map<string, ToolEntry>();
    for (const item of list) {
      const entry = toolEntry.safeParse(item);
      if (!entry.success || !toolName.safeParse(entry.data.name).success || entries.has(entry.data.name)) continue;
      if (entries.size < VOLE_TOOLS_MAX) entries.set(entry.data.name, entry.data);
    }
    this.#tools = [...entries.values()].map((entry) => this.#toolOf(entry));
    return true;
  }

  /** It is not connected any more: all that waits for it ends. */
  left(reason: string): void {
    const why = `${this.name} left: ${reason}`;
    for (const pending of [this.#calls, this.#tasks, this.#searches]) pending.failAll(why);
    this.#tools = [];
    this.#offered = '';
  }

  /** For good. */
  close(reason: string): void {
    this.left(reason);
    for (const pending of [this.#calls, this.#tasks, this.#searches]) pending.close(reason);
  }

  async #ask<Answer>(
    pending: PendingAnswers<Answer>,
    id: string,
    options: {
      readonly what: string;
      readonly timeoutMs: number;
      readonly signal: AbortSignal | undefined;
      readonly send: () => Promise<void>;
    },
  ): Promise<Answer> {
    // First: the answer may be there before the sending has ended.
    const answer = pending.open(id, options);
    options.send().catch((error: unknown) => pending.fail(id, SkeinError.from(error)));
    return answer;
  }

  #toolOf({ name, description, input, effect }: ToolEntry): Tool {
    return {
      descriptor: {
        name,
        description: description.slice(0, DESCRIPTION_CHARS_MAX),
        input: input ?? { type: 'object', additionalProperties: true },
        effect: effect ?? 'at-most-once',
        examples: [],
      },
      peer: { name: this.name, id: this.id },
      untrusted: true,
      run: async (params, { signal }) => {
        if (!isRecord(params)) throw new SkeinError(`${name} takes an object`, { code: 'invalid' });
        return this.callTool(name, params, { signal });
      },
    };
  }
}

/** VoleNet says what went wrong in words alone; these two it always says so. */
function toolError(what: string, { error = 'no reason given', code, retryAfterMs }: VolePayload<'tool:result'>): SkeinError {
  const said = error.slice(0, 2_000);
  const known = said.startsWith('Tool access not allowed')
    ? 'denied'
    : /^Tool "[^"]*" not found$/.test(said)
      ? 'not-found'
      : 'invalid';
  return new SkeinError(`${what} failed: ${said}`, {
    code: code ?? known,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
