import type { Clock } from '@skein/mesh';
import { type Grant, type Json, SkeinError, type ToolDescriptor } from '@skein/protocol';
import type { VoleHost } from './host.ts';
import type { UnfitRequest, VolePayload, VoleTask } from './payloads.ts';
import type { PeerLink } from './peer-link.ts';
import { RunningRequests } from './running-requests.ts';

/** The same list is not sent again so soon: peers ask three times when they meet. */
const LIST_PAUSE_MS = 2_000;
const NOT_LISTED = { text: '', atMs: Number.NEGATIVE_INFINITY };
/** How much of a schema is put into a description, for a node that knows no schemas. */
const SCHEMA_CHARS_MAX = 1_500;
/** How long what runs for a peer outlives its last connection: it may be back at once, and still waits. */
const GRACE_MS = 10_000;

type Answer = 'tool:result' | 'task:result' | 'memory:results';

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
  readonly #running: RunningRequests;
  #listed = NOT_LISTED;
  /** The list could not be sent, and is not asked for again. */
  #owesList = false;
  #releaseGrace: () => void = () => {};

  constructor(parts: ServedRequestsParts) {
    this.#parts = parts;
    this.#running = new RunningRequests(parts.clock);
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
    this.#owesList = false;
    this.#send('tool:list:response', entries, ({ mayPass }) => {
      this.#listed = NOT_LISTED;
      this.#owesList = mayPass;
    });
  }

  /** Called now and then, while the peer is connected. */
  tick(): void {
    if (this.#owesList) this.list({ unasked: true });
  }

  /** Runs a tool and answers with its result; every refusal is an answer too. */
  call({ callId, toolName, params }: VolePayload<'tool:call'>): void {
    const { host, link } = this.#parts;
    const fail = (thrown: unknown) => this.refuse({ request: 'tool:call', id: callId }, thrown, toolName);
    this.#running.run({ kind: 'call', id: callId, what: toolName, fail }, async (signal) => {
      this.#assertMay('tools', toolName);
      const output = await host.callTool(link.id, toolName, withoutCaller(params), { signal });
      // An undefined output would end the process of the node that gets it.
      this.#answer('tool:result', { callId, output: plain(output), success: true }, fail);
    });
  }

  /** Has this node's brain do a task. */
  delegate(task: VoleTask): void {
    const { host, link } = this.#parts;
    const { taskId } = task;
    const fail = (thrown: unknown) => this.refuse({ request: 'task:delegate', id: taskId }, thrown);
    this.#running.run({ kind: 'task', id: taskId, what: 'The task', fail }, async (signal) => {
      this.#assertMay('brain');
      const end = await host.runTask(link.id, task, { signal });
      this.#answer('task:result', { taskId, ...end }, fail);
    });
  }

  /** Searches this node's memory. One that is not granted gets no answer, as VoleNet has none for it. */
  search(query: VolePayload<'memory:search'>): void {
    const { host, link, onProblem } = this.#parts;
    const { requestId } = query;
    const fail = (thrown: unknown) => {
      const error = SkeinError.from(thrown);
      if (error.code !== 'denied') this.refuse({ request: 'memory:search', id: requestId }, error);
      onProblem(error);
    };
    this.#running.run({ kind: 'search', id: requestId, what: 'The search', fail }, async (signal) => {
      this.#assertMay('memory-read');
      const results = await host.searchMemory(link.id, query, { signal });
      const found = { requestId, instanceId: this.#self, instanceName: host.name, results };
      this.#answer('memory:results', found, (error) => this.refuse({ request: 'memory:search', id: requestId }, error));
    });
  }

  /** Answers a request that failed, or is not served, with why. */
  refuse({ request, id }: Pick<UnfitRequest, 'request' | 'id'>, thrown: unknown, toolName = ''): void {
    const { code, message, retryAfterMs } = SkeinError.from(thrown).toPublic();
    switch (request) {
      case 'tool:call': {
        const error =
          code === 'denied'
            ? `Tool access not allowed: ${toolName}`
            : code === 'not-found'
              ? `Tool "${toolName}" not found`
              : message;
        const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
        this.#send('tool:result', { callId: id, success: false, error, code, ...wait });
        return;
      }
      case 'task:delegate':
        this.#send('task:result', { taskId: id, status: code === 'canceled' ? 'cancelled' : 'failed', error: message });
        return;
      case 'memory:search': {
        const { name: instanceName } = this.#parts.host;
        // VoleNet has no word for a search that failed: it found nothing, and ours read why.
        const found = { requestId: id, instanceId: this.#self, instanceName, results: [] };
        this.#send('memory:results', { ...found, error: message });
      }
    }
  }

  /** Stops what runs unless the peer is back soon. */
  left(): void {
    this.#listed = NOT_LISTED;
    this.#releaseGrace();
    this.#releaseGrace = this.#parts.clock.after(GRACE_MS, () => {
      if (!this.#parts.link.isConnected) this.#running.stop('the peer left');
    });
  }

  /** Stops all that runs, for good. */
  close(reason: string): void {
    this.#releaseGrace();
    this.#running.close(reason);
  }

  get #self(): string {
    return this.#parts.link.ownId;
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

  /** Sends an answer; what is too much for the peer, or more than it takes now, is told it in few words. */
  #answer(type: Answer, payload: object, fail: (error: SkeinError) => void): void {
    this.#send(type, payload, (error) => {
      if (error.code === 'too-large' || error.code === 'busy') fail(error);
    });
  }

  #send(type: Answer | 'tool:list:response', payload: object, onFailed?: (error: SkeinError) => void): void {
    const { link, onProblem } = this.#parts;
    link.answer(type, payload).catch((thrown: unknown) => {
      const error = SkeinError.from(thrown);
      onProblem(error);
      onFailed?.(error);
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
  // Proven: an object, and no list.
  const { __caller: _claimed, ...rest } = params as Record<string, unknown> & { __caller?: unknown };
  return rest;
}

/** As it will be read: what is signed must be what travels. */
function plain(output: unknown): Json {
  const text: string | undefined = JSON.stringify(output);
  // Proven: it came out of JSON.parse.
  return text === undefined ? null : (JSON.parse(text) as Json);
}
