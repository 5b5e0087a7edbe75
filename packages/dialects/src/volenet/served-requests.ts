import type { Clock } from '@skein/mesh';
import { type Grant, type Json, SkeinError, type ToolDescriptor } from '@skein/protocol';
import type { VoleHost } from './host.ts';
import { VOLE_CALL_MS, VOLE_SEARCH_MS, VOLE_TASK_MS } from './limits.ts';
import type { VolePayload, VoleTask } from './payloads.ts';
import type { PeerLink } from './peer-link.ts';

/** Of one peer, at once; one more is refused with a word. */
const CALLS_MAX = 64;
const TASKS_MAX = 8;
const SEARCHES_MAX = 8;
/** The same list is not sent again so soon: peers ask three times when they meet. */
const LIST_PAUSE_MS = 2_000;
const NOT_LISTED = { text: '', atMs: Number.NEGATIVE_INFINITY };
/** How much of a schema is put into a description, for a node that knows no schemas. */
const SCHEMA_CHARS_MAX = 1_500;
/** How long what runs for a peer outlives its last connection: it may be back at once, and still waits. */
const GRACE_MS = 10_000;

export interface ServedRequestsParts {
  readonly host: VoleHost;
  readonly link: PeerLink;
  readonly clock: Clock;
  /** Told of what could not be answered. */
  readonly onProblem: (error: SkeinError) => void;
}

/** What one peer asked of this node and has not been answered. */
export class ServedRequests {
  readonly #parts: ServedRequestsParts;
  readonly #running = new Map<string, AbortController>();
  #listed = NOT_LISTED;
  #releaseGrace: () => void = () => {};

  constructor(parts: ServedRequestsParts) {
    this.#parts = parts;
  }

  /** Calls, tasks and searches being run for the peer. */
  get size(): number {
    return this.#running.size;
  }

  /** Sends the list of tools the peer may use; an empty one is said too. */
  list({ unasked }: { readonly unasked: boolean }): void {
    const { host, link, clock } = this.#parts;
    const allowed = this.#may('tools');
    const entries = allowed ? this.#entries(host.listTools(link.id)) : [];
    const text = JSON.stringify(entries);
    const nowMs = clock.monotonicMs();
    const isSame = text === this.#listed.text;
    if (isSame && (unasked || nowMs - this.#listed.atMs < LIST_PAUSE_MS)) return;
    this.#listed = { text, atMs: nowMs };
    this.#answer('tool:list:response', entries);
  }

  /** Runs a tool and answers with its result; every refusal is an answer too. */
  call({ callId, toolName, params }: VolePayload<'tool:call'>): void {
    const { host, link } = this.#parts;
    const reply = (result: object) => this.#answer('tool:result', { callId, ...result });
    const fail = (thrown: unknown) => {
      const { code, message, retryAfterMs } = SkeinError.from(thrown).toPublic();
      const error =
        code === 'denied'
          ? `Tool access not allowed: ${toolName}`
          : code === 'not-found'
            ? `Tool "${toolName}" not found`
            : message;
      reply({ success: false, error, code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    };
    this.#run({ key: `call:${callId}`, max: CALLS_MAX, timeoutMs: VOLE_CALL_MS, what: toolName, fail }, async (signal) => {
      this.#assertMay('tools', toolName);
      const output = await host.callTool(link.id, toolName, withoutCaller(params), { signal });
      // An undefined output would end the process of the node that gets it.
      reply({ success: true, output: plain(output) });
    });
  }

  /** Has this node's brain do a task. */
  delegate(task: VoleTask): void {
    const { host, link } = this.#parts;
    const { taskId } = task;
    const fail = (thrown: unknown) => {
      const { code, message } = SkeinError.from(thrown).toPublic();
      this.#answer('task:result', { taskId, status: code === 'canceled' ? 'cancelled' : 'failed', error: message });
    };
    this.#run({ key: `task:${taskId}`, max: TASKS_MAX, timeoutMs: VOLE_TASK_MS, what: 'The task', fail }, async (signal) => {
      this.#assertMay('brain');
      const end = await host.runTask(link.id, task, { signal });
      this.#answer('task:result', { taskId, ...end });
    });
  }

  /** Searches this node's memory. One that is not granted gets no answer, as VoleNet has none for it. */
  search(query: VolePayload<'memory:search'>): void {
    const { host, link, onProblem } = this.#parts;
    const { requestId } = query;
    const fail = (thrown: unknown) => onProblem(SkeinError.from(thrown));
    const task = { key: `search:${requestId}`, max: SEARCHES_MAX, timeoutMs: VOLE_SEARCH_MS, what: 'The search', fail };
    this.#run(task, async (signal) => {
      this.#assertMay('memory-read');
      const results = await host.searchMemory(link.id, query, { signal });
      this.#answer('memory:results', { requestId, instanceId: this.#self, instanceName: host.name, results });
    });
  }

  /** Stops what runs unless the peer is back soon. */
  left(): void {
    this.#listed = NOT_LISTED;
    this.#releaseGrace();
    this.#releaseGrace = this.#parts.clock.after(GRACE_MS, () => {
      if (!this.#parts.link.isConnected) this.close('the peer left');
    });
  }

  /** Stops all that runs. */
  close(reason: string): void {
    this.#releaseGrace();
    for (const controller of this.#running.values()) {
      controller.abort(new SkeinError(`Stopped: ${reason}`, { code: 'canceled' }));
    }
  }

  get #self(): string {
    return this.#parts.link.ownId;
  }

  #run(
    options: {
      readonly key: string;
      readonly max: number;
      readonly timeoutMs: number;
      readonly what: string;
      readonly fail: (thrown: unknown) => void;
    },
    work: (signal: AbortSignal) => Promise<void>,
  ): void {
    const { key, max, timeoutMs, what, fail } = options;
    // Asked twice: the first is being done and will be answered.
    if (this.#running.has(key)) return;
    const kind = key.slice(0, key.indexOf(':'));
    const ofKind = [...this.#running.keys()].filter((running) => running.startsWith(kind)).length;
    if (ofKind >= max) {
      fail(new SkeinError(`busy: ${max} are running for you already; try again in 1 s`, { code: 'busy', retryAfterMs: 1_000 }));
      return;
    }
    const controller = new AbortController();
    this.#running.set(key, controller);
    const late = new SkeinError(`${what} took longer than the ${timeoutMs} ms its caller waits`, { code: 'deadline-exceeded' });
    const release = this.#parts.clock.after(timeoutMs, () => controller.abort(late));
    // In a turn of its own, so that a host that throws at once is caught as well.
    const done = Promise.resolve().then(() => work(controller.signal));
    done.catch(fail).finally(() => {
      release();
      this.#running.delete(key);
    });
  }

  #may(grant: Grant): boolean {
    return this.#parts.host.decide(this.#parts.link.id, grant).allowed;
  }

  /** @throws SkeinError `denied`, which this node is told of as well. */
  #assertMay(grant: Grant, tool?: string): void {
    const { host, link, onProblem } = this.#parts;
    const decision = host.decide(link.id, grant, tool);
    if (decision.allowed) return;
    const error = new SkeinError(`Not allowed: ${decision.reason}`, { code: 'denied' });
    if (grant !== 'memory-read') onProblem(error);
    throw error;
  }

  #answer(type: 'tool:list:response' | 'tool:result' | 'task:result' | 'memory:results', payload: object): void {
    const { link, onProblem } = this.#parts;
    link.answer(type, payload).catch((thrown: unknown) => {
      const error = SkeinError.from(thrown);
      onProblem(error);
      if (type === 'tool:list:response') this.#listed = NOT_LISTED;
      if (error.code !== 'too-large' || type !== 'tool:result' || !('callId' in payload)) return;
      // Said, so that nobody waits a minute for it.
      const { callId } = payload;
      link.answer(type, { callId, success: false, error: error.message, code: error.code }).catch(onProblem);
    });
  }

  #entries(tools: readonly ToolDescriptor[]): object[] {
    const { host } = this.#parts;
    return tools.map(({ name, description, input, effect }) => {
      const schema = JSON.stringify(input);
      const hint = schema.length > SCHEMA_CHARS_MAX ? '' : `\nParameters (JSON Schema): ${schema}`;
      return {
        name,
        // VoleNet carries no schema, so its brains only know what the description says.
        description: this.#parts.link.isOurs ? description : `${description}${hint}`,
        pawName: 'skein',
        instanceId: this.#self,
        instanceName: host.name,
        input,
        effect,
      };
    });
  }
}

/** The parameters as an object, without the caller that VoleNet's receivers put into it: that is not for the sender to say. */
function withoutCaller(params: unknown): Record<string, unknown> {
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return {};
  const { __caller: _claimed, ...rest } = { ...params } as Record<string, unknown> & { __caller?: unknown };
  return rest;
}

/** As it will be read: what is signed must be what travels. */
function plain(output: unknown): Json {
  const text: string | undefined = JSON.stringify(output);
  // Proven: it came out of JSON.parse.
  return text === undefined ? null : (JSON.parse(text) as Json);
}
