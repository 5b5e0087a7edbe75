import { depthWithin, type Json, type PeerId, SkeinError } from '@skein/protocol';
import type { ToolCall } from '../brain/brain.ts';
import type { AgentEvent, ToolCallSummary } from '../events.ts';
import type { SessionEntry } from '../session/session-entry.ts';
import type { NamedTool, ToolSet } from '../tool/tool-set.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Confirmations } from './confirmations.ts';
import type { Conversation } from './conversation.ts';
import { reasonToAsk, type Seen } from './policy.ts';
import { Slots } from './slots.ts';
import { boundedOutput, DeltaRelay, failureOutput } from './tool-output.ts';
import { Scope, untilAborted } from './waiting.ts';

const MAX_INPUT_CHARS = 100_000;
const MAX_DEPTH = 64;

export interface ToolCallsParts {
  readonly tools: ToolSet;
  readonly confirmations: Confirmations;
  readonly options: AgentOptions;
  readonly interactive: boolean;
  /** Names each call's effect, with the number of the call behind it; without, calls have no keys. */
  readonly keyPrefix: string | undefined;
  readonly onBehalfOf: readonly PeerId[] | undefined;
  /** Which tools may be used; without, all of them. */
  readonly mayUse: ((named: NamedTool) => boolean) | undefined;
  readonly conversation: Conversation;
  readonly emit: (event: AgentEvent) => Promise<void>;
  /** Fires when the turn ends, for whatever reason. */
  readonly signal: AbortSignal;
}

/** A call that was begun. */
export interface StartedCall {
  /** As it goes into the conversation: its id made unique, its input a copy of its own. */
  readonly call: ToolCall;
  /** Its end, or what ended it before it had one (the turn's end). Never rejects, as nobody may be waiting yet. */
  readonly outcome: Promise<CallOutcome | SkeinError>;
}

/** A call that has its result, be it a failure; that is in the conversation. */
export interface CallOutcome {
  readonly entry: SessionEntry;
  readonly summary: ToolCallSummary;
  /** Where its output came from, when that is outside. */
  readonly source: string | undefined;
}

interface Result {
  readonly ok: boolean;
  readonly output: Json;
  readonly ms: number;
  readonly source: string | undefined;
}

/** A call with what is known of it before it runs. */
interface PreparedCall {
  readonly call: ToolCall;
  /** What to run, or why it cannot be. */
  readonly named: NamedTool | SkeinError;
  readonly problem: SkeinError | undefined;
  readonly key: string | undefined;
  readonly seen: Seen;
  /** Resolves once the answer that it is in is kept: before that, nothing may be changed. */
  readonly kept: Promise<void>;
}

/** The tool calls of one turn: counted, judged, run side by side, each ending with a result for the brain. */
export class ToolCalls {
  readonly #parts: ToolCallsParts;
  readonly #slots: Slots;
  /** The number of each call, by its id: it stays the same when the turn goes on elsewhere. */
  readonly #numbers = new Map<string, number>();
  readonly #repeats = new Map<string, number>();
  readonly #refused = new Set<string>();

  constructor(parts: ToolCallsParts) {
    this.#parts = parts;
    this.#slots = new Slots(parts.options.maxParallelTools);
  }

  /** Counts calls that were made before the turn was cut off, in their order. Those without a result are then resumed. */
  remember(calls: readonly ToolCall[]): void {
    for (const { id } of calls) this.#numbers.set(id, this.#numbers.size + 1);
  }

  /**
   * Begins a call; `seen` is what the request that led to it held. One that may change something waits for `kept`.
   * @throws SkeinError `too-large` at once, when there were too many in this turn.
   */
  start(asked: ToolCall, seen: Seen, kept: Promise<void>): StartedCall {
    const { maxToolCalls } = this.#parts.options;
    if (this.#numbers.size >= maxToolCalls) {
      throw new SkeinError(`The brain asked for more than ${maxToolCalls} tool calls in one turn, so the turn was ended`, {
        code: 'too-large',
      });
    }
    const id = this.#uniqueId(asked.id);
    this.#numbers.set(id, this.#numbers.size + 1);
    return this.resume({ ...asked, id }, seen, kept);
  }

  /** Begins a call that is counted already. */
  resume(asked: ToolCall, seen: Seen, kept: Promise<void>): StartedCall {
    const prepared = this.#prepare(asked, seen, kept);
    const outcome = this.#complete(prepared).catch((thrown: unknown) => SkeinError.from(thrown));
    return { call: prepared.call, outcome };
  }

  #prepare(asked: ToolCall, seen: Seen, kept: Promise<void>): PreparedCall {
    const input = copyOf(asked.input);
    const named = this.#lookUp(String(asked.name));
    const name = named instanceof SkeinError ? harmlessName(String(asked.name)) : named.name;
    const { keyPrefix } = this.#parts;
    const key = keyPrefix === undefined ? undefined : `${keyPrefix}:${this.#numbers.get(asked.id) ?? 0}`;
    return { call: { id: asked.id, name, input: input.value }, named, problem: input.problem, key, seen, kept };
  }

  async #complete(prepared: PreparedCall): Promise<CallOutcome> {
    const { call, named, problem } = prepared;
    const peer = named instanceof SkeinError ? null : named.peer;
    const { id, name } = call;
    await this.#emit({ type: 'tool-call', id, name, peer, input: call.input });
    const changes = !(named instanceof SkeinError) && named.tool.descriptor.effect !== 'read';
    const refusal = named instanceof SkeinError ? named : problem;
    const result =
      refusal === undefined && !(named instanceof SkeinError) ? await this.#judge(prepared, named) : failed(refusal);
    const { ok, output, ms, source } = result;
    const untrusted = source === undefined ? {} : { untrusted: true as const };
    const entry: SessionEntry = {
      message: { role: 'tool', callId: id, name, output, ok, ...untrusted },
      tainted: source !== undefined,
      ms,
    };
    // What changed something is kept before anybody is told; what only read may be told while the brain still speaks.
    if (changes) await this.#keep(prepared, entry);
    await this.#emit({ type: 'tool-result', id, name, peer, ok, ms, output });
    if (!changes) await this.#keep(prepared, entry);
    return { entry, summary: { name, peer, ms, ok }, source };
  }

  async #keep({ kept }: PreparedCall, entry: SessionEntry): Promise<void> {
    const { conversation, signal } = this.#parts;
    await untilAborted(kept, signal);
    await conversation.append([entry]);
  }

  /** Runs it, or says why not: repeated too often, or not approved. */
  async #judge(prepared: PreparedCall, named: NamedTool): Promise<Result> {
    const { options } = this.#parts;
    const { call, seen } = prepared;
    const key = JSON.stringify([named.name, call.input]);
    const repeats = (this.#repeats.get(key) ?? 0) + 1;
    this.#repeats.set(key, repeats);
    if (repeats > options.maxRepeats) {
      return refused(
        `Not run: you called ${named.name} with this very input ${options.maxRepeats} times already. Use what it gave, or do something else`,
        'busy',
      );
    }
    const reason = reasonToAsk(named, call.input, seen, options);
    const objection = reason === undefined ? undefined : await this.#approve({ call, named, reason, key });
    return objection === undefined ? this.#run(prepared, named) : refused(objection, 'denied');
  }

  /** Undefined when a person said yes, otherwise what to tell the brain. */
  async #approve(question: {
    readonly call: ToolCall;
    readonly named: NamedTool;
    readonly reason: string;
    readonly key: string;
  }): Promise<string | undefined> {
    const { call, named, reason, key } = question;
    const { confirmations, options, interactive, signal } = this.#parts;
    if (!interactive) {
      return `Not run: ${reason}, so a person has to say yes first, and nobody can be asked here. Tell the user what you wanted to do, and that it can be asked for where someone can confirm it, or allowed in the configuration (allowAfterUntrusted)`;
    }
    if (this.#refused.has(key)) return 'Not run: the user already said no to exactly this. Do not ask for it again';
    const show = (id: string) =>
      this.#emit({ type: 'confirm-request', id, name: named.name, peer: named.peer, input: call.input, reason });
    try {
      if (await confirmations.ask(show, { signal, timeoutMs: options.confirmTimeoutMs })) return undefined;
      this.#refused.add(key);
      return 'Not run: the user said no, and that holds for any other way to do it';
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      this.#refused.add(key);
      return `Not run: nobody confirmed it (${SkeinError.from(thrown).message}). Say that it was not done`;
    }
  }

  async #run({ call, seen, kept, key }: PreparedCall, named: NamedTool): Promise<Result> {
    const { options, signal, conversation, onBehalfOf } = this.#parts;
    const { effect } = named.tool.descriptor;
    if (effect !== 'read') await untilAborted(kept, signal);
    using _slot = await this.#slots.take(signal);
    const { toolTimeoutMs: timeoutMs } = options;
    using scope = new Scope({ parent: signal, timeoutMs, what: named.name, setting: 'agent.toolTimeoutMs' });
    const relay = new DeltaRelay({
      send: (delta) => this.#emit({ type: 'tool-output', id: call.id, delta }),
      maxChars: options.maxDeltaChars,
    });
    const outside = new Set(named.tool.untrusted || named.peer !== null ? [named.name] : []);
    const context = {
      signal: scope.signal,
      ...(key === undefined ? {} : { key }),
      ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
      emit: (delta: string) => relay.emit(delta),
      turn: { tainted: seen.tainted, taint: (source: string) => void outside.add(source.slice(0, 100)) },
    };
    // A wall clock that is set meanwhile must not tell how long it took.
    const startedMs = performance.now();
    const done = (ok: boolean, output: Json): Result => ({
      ok,
      output,
      ms: Math.round(performance.now() - startedMs),
      source: outside.size === 0 ? undefined : [...outside].slice(0, 5).join(', '),
    });
    if (effect === 'at-most-once') await untilAborted(conversation.intend(call), signal);
    try {
      const output = await untilAborted(invoke(named, call.input, context), scope.signal);
      await untilAborted(relay.close(), signal);
      return done(true, boundedOutput(output, options.maxToolOutputChars));
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      await untilAborted(relay.close(), signal);
      return done(false, failureOutput(SkeinError.from(thrown)));
    }
  }

  async #emit(event: AgentEvent): Promise<void> {
    await untilAborted(this.#parts.emit(event), this.#parts.signal);
  }

  #lookUp(name: string): NamedTool | SkeinError {
    const { tools, mayUse } = this.#parts;
    try {
      const named = tools.find(name);
      return mayUse === undefined || mayUse(named) ? named : notForThis(name);
    } catch (thrown) {
      // Which others there are, is not for everybody to know.
      return mayUse === undefined ? SkeinError.from(thrown) : notForThis(name);
    }
  }

  #uniqueId(wanted: unknown): string {
    const base = typeof wanted === 'string' && wanted !== '' ? wanted.slice(0, 200) : 'call';
    let id = base;
    for (let number = 2; this.#numbers.has(id); number += 1) id = `${base}-${number}`;
    return id;
  }
}

function notForThis(name: string): SkeinError {
  return new SkeinError(`There is no tool "${name.slice(0, 130)}" that may be used for this request`, { code: 'denied' });
}

/** In a function of its own, so that a tool that throws at once fails as one that rejects. */
async function invoke(named: NamedTool, input: unknown, context: Parameters<NamedTool['tool']['run']>[1]): Promise<Json> {
  return named.tool.run(input, context);
}

/** A name that exists nowhere goes back into later requests, and a provider refuses those with odd characters. */
function harmlessName(name: string): string {
  return name.replace(/[^\w/~.-]/g, '_').slice(0, 130) || 'unnamed';
}

/** A copy that nothing else can change, so that what was shown is what runs. */
function copyOf(input: unknown): { readonly value: unknown; readonly problem: SkeinError | undefined } {
  try {
    const text = JSON.stringify(input ?? {});
    if (text.length > MAX_INPUT_CHARS) return { value: {}, problem: badInput(`is over ${MAX_INPUT_CHARS} characters`) };
    const value: unknown = JSON.parse(text);
    if (!depthWithin(value, MAX_DEPTH)) return { value: {}, problem: badInput(`nests deeper than ${MAX_DEPTH} levels`) };
    return { value, problem: undefined };
  } catch {
    return { value: {}, problem: badInput('is not JSON') };
  }
}

function badInput(what: string): SkeinError {
  return new SkeinError(`The input of the call ${what}`, { code: 'invalid' });
}

function failed(problem: SkeinError | undefined): Result {
  const error = problem ?? new SkeinError('The call could not be run', { code: 'internal' });
  return { ok: false, output: failureOutput(error), ms: 0, source: undefined };
}

function refused(message: string, code: 'busy' | 'denied'): Result {
  return failed(new SkeinError(message, { code }));
}
