import { setTimeout as wait } from 'node:timers/promises';
import { Client, type Transport } from '@modelcontextprotocol/client';
import { DeltaRelay, type ToolContext, untilAborted } from '@skein/agent';
import { abortReason, type Json, SkeinError } from '@skein/protocol';
import { type Listing, listTools, type TakenTool } from './listed-tools.ts';
import type { McpServerConfig } from './mcp-config.ts';
import { isAnswer, mcpError } from './mcp-errors.ts';
import { outputOf, textOf } from './tool-output.ts';

/** A transport to one start of a server, and what the server said last of itself. */
export interface OpenedTransport {
  readonly transport: Transport;
  lastWords(): string | undefined;
}

export interface McpServerParts {
  /** What the configuration calls it. */
  readonly name: string;
  readonly config: McpServerConfig;
  /** Starts it, or makes ready to reach it. */
  readonly open: (signal: AbortSignal) => Promise<OpenedTransport>;
  /** This program's version, told to servers. */
  readonly version: string;
  /** Until the next start, in milliseconds, after so many in a row that failed. */
  readonly backoffMs: (failures: number) => number;
  readonly onTools: () => void;
  readonly onProblem: (problem: string) => void;
}

/** Calls of one server at once. */
const MAX_CALLS = 32;
const MAX_PROGRESS_CHARS = 65_536;
/** Between two listings of a server, which could say without end that its tools have changed. */
const LIST_PAUSE_MS = 1_000;
const PING_MS = 5_000;
/** A server that ran for so long did not fail at its start. */
const SETTLED_MS = 60_000;

interface Session {
  readonly client: Client;
  readonly ended: Promise<SkeinError>;
  readonly end: (why: SkeinError) => void;
  /** It has said that its tools are others, and was not asked for them since. */
  changed: boolean;
  relisting: Promise<void> | undefined;
}

/**
 * One server of MCP, kept running: started again, later each time, when it ends. Its tools stay what it listed last while
 * it is away, and calls of them fail with `unavailable`.
 */
export class McpServer implements AsyncDisposable {
  readonly #parts: McpServerParts;
  readonly #closing = new AbortController();
  readonly #firstTry = Promise.withResolvers<void>();
  #session: Session | undefined;
  #tools: readonly TakenTool[] = [];
  #leftOut: string | null = null;
  #calls = 0;
  #modern = false;
  #running: Promise<void> | undefined;
  /** The session that a ping is out in. */
  #examined: Session | undefined;

  constructor(parts: McpServerParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get tools(): readonly TakenTool[] {
    return this.#tools;
  }

  /** Begins to keep it running; at once. */
  start(): void {
    this.#running ??= this.#keep();
  }

  /** Resolves once it has listed its tools, or failed to, for the first time. */
  get firstTry(): Promise<void> {
    return this.#firstTry.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SkeinError(`The MCP server ${this.name} is stopped`, { code: 'unavailable' }));
    this.#firstTry.resolve();
    await this.#running;
  }

  /** Calls one of its tools. @throws SkeinError `unavailable`, `busy`, `invalid` with the server's words, or the signal's reason. */
  async call(tool: TakenTool, input: Readonly<Record<string, unknown>>, context: ToolContext): Promise<Json> {
    const session = this.#session;
    const what = `The MCP server ${this.name}`;
    if (session === undefined) {
      throw new SkeinError(`${what} does not run now; it is started again`, { code: 'unavailable', retryAfterMs: 2_000 });
    }
    if (this.#calls >= MAX_CALLS) {
      throw new SkeinError(`${what} has ${MAX_CALLS} calls to answer already`, { code: 'busy', retryAfterMs: 1_000 });
    }
    this.#calls += 1;
    try {
      return await this.#call(session, { tool, input, context, what });
    } finally {
      this.#calls -= 1;
    }
  }

  async #call(
    session: Session,
    call: { tool: TakenTool; input: Readonly<Record<string, unknown>>; context: ToolContext; what: string },
  ): Promise<Json> {
    const { tool, input, context, what } = call;
    const { signal } = context;
    const { timeoutMs } = this.#parts.config;
    const relay = new DeltaRelay({ send: (delta) => context.emit(delta), maxChars: MAX_PROGRESS_CHARS });
    const calling = session.client.callTool(
      { name: tool.name, arguments: { ...input } },
      {
        signal,
        timeout: timeoutMs,
        maxTotalTimeout: timeoutMs,
        // Given so that no schema of the server's is compiled here: its patterns would run in this process.
        toolDefinition: { name: tool.name, inputSchema: { ...tool.descriptor.input, type: 'object' } },
        onprogress: ({ progress, total, message }) => {
          const said = message ?? (total === undefined ? String(progress) : `${progress} of ${total}`);
          relay.emit(`${said}\n`).catch(() => undefined); // A reader that is gone ends the call by its signal.
        },
      },
    );
    try {
      const result = await untilAborted(calling, signal);
      if (result.isError !== true) return outputOf(result);
      throw new SkeinError(`${tool.name} failed: ${textOf(result.content).slice(0, 2_000)}`, { code: 'invalid' });
    } catch (error) {
      const failed = signal.aborted ? abortReason(signal) : mcpError(`${what} did not answer ${tool.name}`, error);
      if (error instanceof SkeinError && !signal.aborted) throw error;
      // Over HTTP nothing else says that the server is gone or has forgotten us.
      if (failed.code === 'unavailable' && !isAnswer(error)) session.end(failed);
      else if (!isAnswer(error)) this.#examine(session);
      throw failed;
    } finally {
      await untilAborted(relay.close(), signal).catch(() => undefined); // As above.
    }
  }

  /** Ends a server that let a call wait in vain, unless it answers a ping: then it was the tool that took long. */
  #examine(session: Session): void {
    if (this.#examined === session) return;
    this.#examined = session;
    session.client
      .ping({ timeout: PING_MS })
      .catch(() => session.end(new SkeinError(`The MCP server ${this.name} does not answer any more`, { code: 'unavailable' })))
      .finally(() => {
        this.#examined = undefined;
      })
      .catch(() => undefined); // Ending does not throw.
  }

  async #keep(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const ended = await this.#live();
      if (signal.aborted) return;
      failures = performance.now() - startedAt > SETTLED_MS ? 1 : failures + 1;
      this.#parts.onProblem(ended.message);
      this.#firstTry.resolve();
      // Woken by the end, which is looked at above.
      await wait(this.#parts.backoffMs(failures), undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** One life of the server: gives why it ended. */
  async #live(): Promise<SkeinError> {
    const { config, open } = this.#parts;
    const { signal } = this.#closing;
    const what = `The MCP server ${this.name}`;
    const starting = AbortSignal.any([signal, AbortSignal.timeout(config.startTimeoutMs)]);
    let opened: OpenedTransport | undefined;
    try {
      opened = await open(starting);
      const session = await this.#connect(opened, starting);
      try {
        await this.#list(session, starting);
        this.#session = session;
        this.#firstTry.resolve();
        return await untilAborted(session.ended, signal);
      } finally {
        this.#session = undefined;
        await session.client.close();
      }
    } catch (error) {
      if (signal.aborted) return abortReason(signal);
      if (isAnswer(error)) this.#modern = !this.#modern;
      const words = opened?.lastWords();
      const failed = starting.aborted
        ? new SkeinError(`${what} did not list its tools within ${config.startTimeoutMs} ms`, { code: 'deadline-exceeded' })
        : mcpError(`${what} did not start`, error);
      return words === undefined ? failed : new SkeinError(`${failed.message}; ${words}`, { code: failed.code, cause: failed });
    }
  }

  async #connect({ transport, lastWords }: OpenedTransport, signal: AbortSignal): Promise<Session> {
    const { promise: ended, resolve: end } = Promise.withResolvers<SkeinError>();
    const client = new Client(
      { name: 'skein', version: this.#parts.version },
      {
        // A server that refuses the older handshake is asked by the newer one next.
        versionNegotiation: { mode: this.#modern ? 'auto' : 'legacy' },
        listChanged: { tools: { autoRefresh: false, onChanged: () => this.#changed(session) } },
      },
    );
    const session: Session = { client, ended, end, changed: false, relisting: undefined };
    let fault: Error | undefined;
    client.onerror = (error) => {
      fault = error;
    };
    client.onclose = () => {
      const words = [`The MCP server ${this.name} ended`, fault?.message, lastWords()].filter((part) => part !== undefined);
      end(new SkeinError(words.join('; '), { code: 'unavailable' }));
    };
    try {
      const { startTimeoutMs: timeout } = this.#parts.config;
      await untilAborted(client.connect(transport, { signal, timeout }), signal);
    } catch (error) {
      await client.close();
      await transport.close();
      throw error;
    }
    return session;
  }

  #changed(session: Session): void {
    session.changed = true;
    session.relisting ??= this.#relist(session).finally(() => {
      session.relisting = undefined;
    });
  }

  async #relist(session: Session): Promise<void> {
    const { signal } = this.#closing;
    while (session.changed && !signal.aborted) {
      session.changed = false;
      const timeout = AbortSignal.timeout(this.#parts.config.startTimeoutMs);
      try {
        await this.#list(session, AbortSignal.any([signal, timeout]));
      } catch (error) {
        if (!signal.aborted) session.end(mcpError(`The MCP server ${this.name} did not list its tools again`, error));
        return;
      }
      await wait(LIST_PAUSE_MS, undefined, { signal, ref: false }).catch(() => undefined); // Woken by the end.
    }
  }

  async #list({ client }: Session, signal: AbortSignal): Promise<void> {
    const { tools: only, trustHints, startTimeoutMs: timeoutMs } = this.#parts.config;
    const has = client.getServerCapabilities()?.tools !== undefined;
    const listing: Listing = has
      ? await untilAborted(listTools(client, { only, trustHints, timeoutMs, signal }), signal)
      : { tools: [], leftOut: 'it has no tools' };
    if (listing.leftOut !== null && listing.leftOut !== this.#leftOut) {
      this.#parts.onProblem(`Of the MCP server ${this.name} something is left out: ${listing.leftOut}`);
    }
    this.#leftOut = listing.leftOut;
    if (JSON.stringify(listing.tools) === JSON.stringify(this.#tools)) return;
    this.#tools = listing.tools;
    this.#parts.onTools();
  }
}
