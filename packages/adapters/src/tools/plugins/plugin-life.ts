import type { ToolContext } from '@skein/agent';
import { abortReason, type Json, SkeinError } from '@skein/protocol';
import type { SandboxEnd, Sandboxed } from '../../sandbox/sandbox.ts';
import { explainLack, type Lacks } from './lacks.ts';
import { LineReader } from './line-reader.ts';
import {
  type FromPlugin,
  formatError,
  fromPlugin,
  MAX_CALLS,
  MAX_CALLS_PER_CALLER,
  MAX_LINE_BYTES,
  MAX_TAINTS,
  parseError,
  parseMessage,
  type ToPlugin,
} from './plugin-messages.ts';

export interface PluginLifeParts {
  /** What to call it in messages. */
  readonly name: string;
  readonly process: Sandboxed;
  /** What it was granted nothing of. */
  readonly lacks: Lacks;
}

/** How the process ended, and whether that counts as a crash. */
export interface LifeEnd {
  /** In words that go on after the plug-in's name. */
  readonly how: string;
  /** False when the node ended it, for a call that was stopped or for good. */
  readonly crashed: boolean;
  /** What it wrote to its error stream at last; for the log, since it may hold anything. */
  readonly lastWords: string;
}

/** What came first: the tools, or why there are none. */
export type LifeStart = Extract<FromPlugin, { type: 'ready' | 'refused' }>;

interface Call {
  readonly context: ToolContext;
  readonly resolve: (output: Json) => void;
  readonly reject: (error: SkeinError) => void;
  readonly onAbort: () => void;
  /** After it was stopped: the process has not answered that yet, has answered, or goes on all the same. */
  state: 'running' | 'stopped' | 'stopping' | 'overdue';
  timer: NodeJS.Timeout | undefined;
  /** A piece of partial output is being taken; another must not come before. */
  emitting: boolean;
  taints: number;
  /** Of the network, to the whole process, before it began. */
  readonly refusalsBefore: number;
}

/** A process that does not answer within this that it stops a call is ended. */
const ANSWER_MS = 1_000;
/** Code that has not ended so long after it was told to goes on for good, as far as anybody can tell. */
const STOP_MS = 1_000;
/** Bytes that it has not read, above which it takes no more calls. */
const MAX_UNREAD_BYTES = 8_388_608;
const RETRY_AFTER_MS = 500;
const LAST_WORDS_CHARS = 2_000;

/** One process of a plug-in, from its first word to its end. */
export class PluginLife {
  readonly tools: Promise<LifeStart>;
  readonly ended: Promise<LifeEnd>;
  readonly #name: string;
  readonly #process: Sandboxed;
  readonly #lacks: Lacks;
  readonly #calls = new Map<number, Call>();
  readonly #started = Promise.withResolvers<LifeStart>();
  #begun = false;
  #nextId = 1;
  /** Why this node ended it; the first reason stays. */
  #cause: { readonly how: string; readonly crashed: boolean } | undefined;
  #gone = false;
  #lastWords = '';

  constructor({ name, process, lacks }: PluginLifeParts) {
    this.#name = name;
    this.#process = process;
    this.#lacks = lacks;
    this.tools = this.#started.promise;
    this.tools.catch(() => undefined); // Also told by `ended`, which somebody always waits for.
    for (const stream of [process.stdin, process.stdout, process.stderr]) stream.on('error', () => undefined);
    process.stderr.on('data', (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString('utf8')).slice(-LAST_WORDS_CHARS);
    });
    const lines = new LineReader({ maxBytes: MAX_LINE_BYTES });
    process.stdout.on('data', (chunk: Buffer) => this.#read(lines, chunk));
    this.ended = process.closed.then((end) => this.#onEnd(end));
  }

  /** Neither ended nor being ended. */
  get alive(): boolean {
    return !this.#gone && this.#cause === undefined;
  }

  /** @throws SkeinError what the tool raised, `busy`, the signal's reason, `unavailable` when the process ends meanwhile. */
  async call(tool: string, input: unknown, context: ToolContext): Promise<Json> {
    if (context.signal.aborted) throw abortReason(context.signal);
    const isFull = this.#calls.size >= MAX_CALLS || this.#callsOf(context.caller) >= MAX_CALLS_PER_CALLER;
    if (isFull || this.#process.stdin.writableLength > MAX_UNREAD_BYTES) {
      throw new SkeinError(`${this.#name} runs ${this.#calls.size} calls already and takes no more just now; try again`, {
        code: 'busy',
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    const id = this.#nextId;
    this.#nextId += 1;
    const line = this.#format(tool, { id, input, context });
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    const onAbort = () => this.#stop(id);
    const call: Call = {
      context,
      resolve,
      reject,
      onAbort,
      state: 'running',
      timer: undefined,
      emitting: false,
      taints: 0,
      refusalsBefore: this.#process.refusals.count,
    };
    this.#calls.set(id, call);
    context.signal.addEventListener('abort', onAbort, { once: true });
    this.#process.stdin.write(line);
    return promise;
  }

  /** Ends the process; calls in flight fail with these words. */
  end(cause: { readonly how: string; readonly crashed: boolean }): void {
    if (this.#gone || this.#cause !== undefined) return;
    this.#cause = cause;
    this.#process.kill();
    this.#failAll(cause.how);
  }

  #callsOf(caller: string | undefined): number {
    // Counted only where it may matter.
    if (this.#calls.size < MAX_CALLS_PER_CALLER) return 0;
    return [...this.#calls.values()].filter(({ context }) => context.caller === caller).length;
  }

  #format(tool: string, { id, input, context }: { id: number; input: unknown; context: ToolContext }): string {
    const { caller, key, onBehalfOf, turn } = context;
    const line = formatLine({
      type: 'call',
      id,
      tool,
      input: input ?? null,
      ...(caller === undefined ? {} : { caller }),
      ...(key === undefined ? {} : { key }),
      ...(onBehalfOf === undefined ? {} : { onBehalfOf: [...onBehalfOf] }),
      ...(turn === undefined ? {} : { tainted: turn.tainted }),
    });
    if (Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
    throw new SkeinError(`The input of ${tool} is larger than ${MAX_LINE_BYTES} bytes`, { code: 'too-large' });
  }

  /** The caller is answered at once; the process is told, and ended when it does not answer or nothing else needs it. */
  #stop(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined || call.state !== 'running') return;
    call.state = 'stopped';
    const reason = abortReason(call.context.signal);
    call.reject(reason);
    this.#process.stdin.write(formatLine({ type: 'cancel', id, error: formatError(reason) }));
    call.timer = setTimeout(
      () => this.end({ how: 'did not answer when a call of it was stopped, and was ended', crashed: false }),
      ANSWER_MS,
    );
  }

  #read(lines: LineReader, chunk: Buffer): void {
    for (const line of lines.take(chunk)) {
      if (!this.alive) return;
      if (line === undefined) {
        this.#broke(`wrote a line of more than ${MAX_LINE_BYTES} bytes`);
        return;
      }
      try {
        this.#take(parseMessage(fromPlugin, line));
      } catch {
        this.#broke('wrote something to its node that is no message');
      }
    }
  }

  /** Each message answers one of this node's, so a process that sends more than that is not the program it was. */
  #take(message: FromPlugin): void {
    if (message.type === 'ready' || message.type === 'refused') {
      if (this.#begun) this.#broke('said twice which tools it has');
      this.#begun = true;
      this.#started.resolve(message);
      return;
    }
    const call = this.#calls.get(message.id);
    if (call === undefined) {
      this.#broke('answered a call that was not made');
      return;
    }
    switch (message.type) {
      case 'delta':
        this.#emit(message.id, call, message.text);
        return;
      case 'taint':
        call.taints += 1;
        if (call.taints > MAX_TAINTS) this.#broke('named too many sources');
        else call.context.turn?.taint(message.source);
        return;
      case 'stopping':
        this.#stopping(call);
        return;
      case 'result':
        this.#settle(message.id, call);
        // Proven: it was JSON a moment ago, and a result without an output has none.
        call.resolve((message.output ?? null) as Json);
        return;
      case 'failed':
        this.#settle(message.id, call);
        call.reject(this.#explain(call, parseError(message.error)));
    }
  }

  /** A failure in code that was refused the network says nothing of that by itself: clients tell no more than a number. */
  #explain(call: Call, error: SkeinError): SkeinError {
    const { count, last } = this.#process.refusals;
    if (error.code !== 'internal') return error;
    if (last === undefined || count === call.refusalsBefore) {
      const { caller, onBehalfOf } = call.context;
      const isOwn = caller === undefined && onBehalfOf === undefined;
      return explainLack(error, { name: this.#name, lacks: this.#lacks, isOwn }) ?? error;
    }
    return new SkeinError(`${this.#name} failed, and had been refused the network meanwhile: ${last}`, {
      code: 'denied',
      cause: error,
    });
  }

  #stopping(call: Call): void {
    if (call.state !== 'stopped') {
      this.#broke('answered a call that was not stopped');
      return;
    }
    call.state = 'stopping';
    clearTimeout(call.timer);
    call.timer = setTimeout(() => {
      call.state = 'overdue';
      this.#endIfIdle();
    }, STOP_MS);
  }

  #emit(id: number, call: Call, text: string): void {
    if (call.emitting) {
      this.#broke('sent partial output before it was asked for more');
      return;
    }
    call.emitting = true;
    const more = () => {
      call.emitting = false;
      if (this.#calls.get(id) === call) this.#process.stdin.write(formatLine({ type: 'more', id }));
    };
    if (call.state !== 'running') more();
    // A reader that is gone stops the call by its signal.
    else call.context.emit(text).then(more, more);
  }

  #settle(id: number, call: Call): void {
    clearTimeout(call.timer);
    call.context.signal.removeEventListener('abort', call.onAbort);
    this.#calls.delete(id);
    this.#endIfIdle();
  }

  /** Code that goes on after it was stopped ends with its process, as soon as no other call needs that. */
  #endIfIdle(): void {
    const left = [...this.#calls.values()];
    if (left.length === 0 || left.some(({ state }) => state !== 'overdue')) return;
    this.end({ how: 'went on with a call that was stopped, and was ended', crashed: false });
  }

  #broke(how: string): void {
    this.end({ how: `${how}, and was ended`, crashed: true });
  }

  #onEnd(end: SandboxEnd): LifeEnd {
    const { how, crashed } = this.#cause ?? { how: describeEnd(end), crashed: true };
    this.#gone = true;
    this.#failAll(how);
    return { how, crashed, lastWords: this.#lastWords.trim() };
  }

  #failAll(how: string): void {
    const error = new SkeinError(`${this.#name} ${how}`, { code: 'unavailable', retryAfterMs: RETRY_AFTER_MS });
    this.#started.reject(error);
    for (const [id, call] of this.#calls) {
      clearTimeout(call.timer);
      call.context.signal.removeEventListener('abort', call.onAbort);
      call.reject(error);
      this.#calls.delete(id);
    }
  }
}

function describeEnd({ code, signal, reason }: SandboxEnd): string {
  switch (reason) {
    case 'memory':
      return 'took more memory than it may, and was ended';
    case 'processes':
      return 'started more processes than it may, and was ended';
    case 'flood':
      return 'wrote more than it may, and was ended';
    case 'killed':
      return 'was ended';
    case 'ended':
      return `ended by itself (${signal === null ? `exit code ${code}` : signal})`;
  }
}

function formatLine(message: ToPlugin): string {
  return `${JSON.stringify(message)}\n`;
}
