import { depthWithin, type Json, SkeinError } from '@skein/protocol';
import type { ToolCall } from '../brain/brain.ts';
import type { AgentEvent, ToolCallSummary } from '../events.ts';
import type { SessionEntry } from '../session/session-entry.ts';
import type { NamedTool, ToolSet } from '../tool/tool-set.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Confirmations } from './confirmations.ts';
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
  readonly now: () => number;
  readonly emit: (event: AgentEvent) => Promise<void>;
  /** Fires when the turn ends, for whatever reason. */
  readonly signal: AbortSignal;
}

/** A call that has its result, be it a failure. */
export interface CallOutcome {
  /** The call as it goes into the conversation: its id made unique, its input a copy of its own. */
  readonly call: ToolCall;
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

/** The tool calls of one turn: counted, judged, run side by side, each ending with a result for the brain. */
export class ToolCalls {
  readonly #parts: ToolCallsParts;
  readonly #slots: Slots;
  readonly #ids = new Set<string>();
  readonly #repeats = new Map<string, number>();
  readonly #refused = new Set<string>();

  constructor(parts: ToolCallsParts) {
    this.#parts = parts;
    this.#slots = new Slots(parts.options.maxParallelTools);
  }

  /**
   * Begins a call; `seen` is what the request that led to it held. Resolves with its outcome, or with what ended it
   * before it had one (the turn's end); it never rejects, as nobody may be waiting yet.
   * @throws SkeinError `too-large` at once, when there were too many in this turn.
   */
  start(asked: ToolCall, seen: Seen): Promise<CallOutcome | SkeinError> {
    const { maxToolCalls } = this.#parts.options;
    if (this.#ids.size >= maxToolCalls) {
      throw new SkeinError(`The brain asked for more than ${maxToolCalls} tool calls in one turn, so the turn was ended`, {
        code: 'too-large',
      });
    }
    return this.#complete({ ...asked, id: this.#uniqueId(asked.id) }, seen).catch((thrown: unknown) => SkeinError.from(thrown));
  }

  async #complete(asked: ToolCall, seen: Seen): Promise<CallOutcome> {
    const input = copyOf(asked.input);
    const named = this.#lookUp(String(asked.name));
    const peer = named instanceof SkeinError ? null : named.peer;
    const name = named instanceof SkeinError ? harmlessName(String(asked.name)) : named.name;
    const call = { ...asked, name, input: input.value };
    await this.#emit({ type: 'tool-call', id: call.id, name, peer, input: call.input });
    const problem = named instanceof SkeinError ? named : input.problem;
    const result =
      problem === undefined && !(named instanceof SkeinError) ? await this.#judge(call, named, seen) : failed(problem);
    const { ok, output, ms, source } = result;
    await this.#emit({ type: 'tool-result', id: call.id, name, peer, ok, ms, output });
    const untrusted = source === undefined ? {} : { untrusted: true as const };
    return {
      call,
      entry: {
        message: { role: 'tool', callId: call.id, name, output, ok, ...untrusted },
        tainted: source !== undefined,
      },
      summary: { name, peer, ms, ok },
      source,
    };
  }

  /** Runs it, or says why not: repeated too often, or not approved. */
  async #judge(call: ToolCall, named: NamedTool, seen: Seen): Promise<Result> {
    const { options } = this.#parts;
    const key = JSON.stringify([named.name, call.input]);
    const repeats = (this.#repeats.get(key) ?? 0) + 1;
    this.#repeats.set(key, repeats);
    if (repeats > options.maxRepeats) {
      return refused(
        `Not run: you called ${named.name} with this very input ${options.maxRepeats} times already. Use what it gave, or do something else`,
        'busy',
      );
    }
    const reason = reasonToAsk(named, seen, options);
    const objection = reason === undefined ? undefined : await this.#approve({ call, named, reason, key });
    return objection === undefined ? this.#run(call, named, seen) : refused(objection, 'denied');
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

  async #run(call: ToolCall, named: NamedTool, seen: Seen): Promise<Result> {
    const { options, signal } = this.#parts;
    using _slot = await this.#slots.take(signal);
    using scope = new Scope({ parent: signal, timeoutMs: options.toolTimeoutMs, what: named.name });
    const relay = new DeltaRelay({
      send: (delta) => this.#emit({ type: 'tool-output', id: call.id, delta }),
      maxChars: options.maxDeltaChars,
    });
    const outside = new Set(named.tool.untrusted || named.peer !== null ? [named.name] : []);
    const context = {
      signal: scope.signal,
      emit: (delta: string) => relay.emit(delta),
      turn: { tainted: seen.tainted, taint: (source: string) => void outside.add(source.slice(0, 100)) },
    };
    const startedMs = this.#parts.now();
    const done = (ok: boolean, output: Json): Result => ({
      ok,
      output,
      ms: this.#parts.now() - startedMs,
      source: outside.size === 0 ? undefined : [...outside].slice(0, 5).join(', '),
    });
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
    try {
      return this.#parts.tools.find(name);
    } catch (thrown) {
      return SkeinError.from(thrown);
    }
  }

  #uniqueId(wanted: unknown): string {
    const base = typeof wanted === 'string' && wanted !== '' ? wanted.slice(0, 200) : 'call';
    let id = base;
    for (let number = 2; this.#ids.has(id); number += 1) id = `${base}-${number}`;
    this.#ids.add(id);
    return id;
  }
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
