import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4StreamPart } from '@ai-sdk/provider';
import type { Brain, BrainPart, BrainRequest, ToolCall } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { createBoundedFetch } from './bounded-fetch.ts';
import { type BrainTimeouts, CallLimits, DEFAULT_TIMEOUTS } from './limits.ts';
import { createPrompt, createTools, namesOf } from './prompt.ts';
import { type FailureContext, malformed, toProviderError } from './provider-errors.ts';
import { type ProviderId, providerOf } from './providers.ts';
import { createToolNames, type ToolNames } from './tool-names.ts';

export interface ProviderBrainOptions {
  readonly provider: ProviderId;
  /** Defaults to the provider's, where it has one. */
  readonly model?: string | undefined;
  readonly apiKey?: string | undefined;
  /** Where the key comes from, for errors; defaults to the provider's usual variable. */
  readonly keySource?: string | undefined;
  readonly baseUrl?: string | undefined;
  readonly temperature?: number | undefined;
  readonly maxOutputTokens?: number | undefined;
  readonly timeouts?: Partial<BrainTimeouts> | undefined;
  /** Bytes of text, reasoning and tool arguments in one answer; beyond it ends with `too-large`. */
  readonly maxOutputBytes?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
  readonly now?: (() => number) | undefined;
}

/** 1 MiB of output is far beyond any model's limit of tokens. */
export const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;
/** What the protocol may add around each piece of output: a token of four bytes comes in an event of some hundred. */
const WIRE_FACTOR = 128;
/** What a line may hold beside the output, of which it may be one piece, its quotes escaped. */
const LINE_OVERHEAD = 64 * 1024;
/** What a call counts beside its arguments. */
const CALL_BYTES = 64;

/**
 * A brain at a model provider. Its package is loaded at the first call. Tool calls are handed out when the answer is
 * whole, so that nothing runs of an answer that broke off.
 * @throws SkeinError `unauthenticated` when the provider needs a key and none is given, `invalid` when an address or
 * a model must be said.
 */
export function createProviderBrain(options: ProviderBrainOptions): Brain {
  const provider = providerOf(options.provider);
  const model = options.model ?? provider.defaultModel;
  if (model === undefined) throw new SkeinError(`${provider.label} needs a model: set brain.model`, { code: 'invalid' });
  const baseUrl = checkBaseUrl(options.baseUrl ?? provider.baseUrl, provider.label);
  const keySource = options.keySource ?? provider.keyVariables[0] ?? 'brain.apiKeyEnv';
  const apiKey = options.apiKey || undefined;
  if (apiKey === undefined && !provider.keyOptional) {
    throw new SkeinError(`${provider.label} needs a key: set ${keySource}`, { code: 'unauthenticated' });
  }
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new SkeinError(`${keySource} does not hold a key: a key has no spaces and no characters beyond ASCII`, {
      code: 'unauthenticated',
    });
  }
  const maxOutputBytes = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  return new ProviderBrain({
    name: `${options.provider} ${model}`,
    open: () =>
      provider.open({
        model,
        baseUrl: baseUrl.href.replace(/\/$/, ''),
        apiKey,
        fetch: createBoundedFetch(options.fetch ?? fetch, {
          maxBytes: maxOutputBytes * WIRE_FACTOR,
          maxLineBytes: maxOutputBytes * 2 + LINE_OVERHEAD,
        }),
      }),
    context: {
      label: `${provider.label} (${model})`,
      origin: baseUrl.origin,
      model,
      apiKey,
      keySource,
      now: options.now ?? Date.now,
    },
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
    maxOutputBytes,
    settings: {
      ...(provider.providerOptions === undefined ? {} : { providerOptions: provider.providerOptions }),
      ...(options.temperature === undefined ? {} : { temperature: options.temperature }),
      ...(options.maxOutputTokens === undefined ? {} : { maxOutputTokens: options.maxOutputTokens }),
    },
  });
}

interface ProviderBrainParts {
  readonly name: string;
  open(): Promise<LanguageModelV4>;
  readonly context: FailureContext;
  readonly timeouts: BrainTimeouts;
  readonly maxOutputBytes: number;
  readonly settings: Pick<LanguageModelV4CallOptions, 'temperature' | 'maxOutputTokens' | 'providerOptions'>;
}

class ProviderBrain implements Brain {
  readonly name: string;
  readonly #parts: ProviderBrainParts;
  #model: Promise<LanguageModelV4> | undefined;

  constructor(parts: ProviderBrainParts) {
    this.name = parts.name;
    this.#parts = parts;
  }

  async *respond(request: BrainRequest, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<BrainPart> {
    const { context, timeouts } = this.#parts;
    using limits = new CallLimits({ label: context.label, signal, totalMs: timeouts.totalMs });
    const names = createToolNames(namesOf(request));
    const answer = new Answer({ context, names, maxBytes: this.#parts.maxOutputBytes });
    try {
      for await (const part of this.#stream(request, names, limits)) {
        const out = answer.take(part);
        if (out) yield out;
      }
      yield* answer.end();
    } catch (thrown) {
      throw limits.reason ?? (thrown instanceof SkeinError ? thrown : toProviderError(thrown, context));
    }
  }

  async *#stream(request: BrainRequest, names: ToolNames, limits: CallLimits): AsyncGenerator<LanguageModelV4StreamPart> {
    const { timeouts, settings } = this.#parts;
    limits.arm(timeouts.firstPartMs, 'the beginning of an answer');
    this.#model ??= this.#parts.open();
    const model = await limits.race(this.#model);
    const tools = createTools(request.tools, names);
    const call = model.doStream({
      prompt: createPrompt(request, names),
      ...(tools.length === 0 ? {} : { tools }),
      ...settings,
      abortSignal: limits.signal,
    });
    const { stream } = await limits.race(call);
    const reader = stream.getReader();
    try {
      let begun = false;
      while (true) {
        if (begun) limits.arm(timeouts.idleMs, 'the next part of its answer');
        const { done, value } = await limits.race(reader.read());
        if (done) return;
        // This one is made by the package before the provider has said anything.
        if (value.type === 'stream-start') continue;
        begun = true;
        limits.disarm();
        yield value;
      }
    } finally {
      reader.cancel().catch(() => undefined); // Given up on; why the answer ended is told by whoever ended it.
    }
  }
}

/** One answer being read: what may be handed out at once, and what is kept until it is whole. */
class Answer {
  readonly #context: FailureContext;
  readonly #names: ToolNames;
  readonly #maxBytes: number;
  readonly #calls: ToolCall[] = [];
  readonly #ids = new Set<string>();
  #bytes = 0;
  #finish: Extract<LanguageModelV4StreamPart, { type: 'finish' }> | undefined;

  constructor(parts: { readonly context: FailureContext; readonly names: ToolNames; readonly maxBytes: number }) {
    this.#context = parts.context;
    this.#names = parts.names;
    this.#maxBytes = parts.maxBytes;
  }

  /** @throws SkeinError for a failure told in the stream, and `too-large`. */
  take(part: LanguageModelV4StreamPart): BrainPart | undefined {
    switch (part.type) {
      case 'text-delta':
        this.#count(part.delta);
        return part.delta === '' ? undefined : { type: 'text-delta', text: part.delta };
      case 'reasoning-delta':
      case 'tool-input-delta':
        this.#count(part.delta);
        return undefined;
      case 'tool-call':
        this.#count(part.toolName + part.input, CALL_BYTES);
        if (!part.providerExecuted) {
          this.#calls.push({
            id: this.#uniqueId(part.toolCallId),
            name: this.#names.fromWire(part.toolName),
            input: parseInput(part.input),
          });
        }
        return undefined;
      case 'finish':
        this.#finish = part;
        return undefined;
      case 'error':
        throw toProviderError(part.error, this.#context);
      case 'text-start':
      case 'text-end':
      case 'reasoning-start':
      case 'reasoning-end':
      case 'tool-input-start':
      case 'tool-input-end':
      case 'tool-approval-request':
      case 'tool-result':
      case 'custom':
      case 'file':
      case 'reasoning-file':
      case 'source':
      case 'stream-start':
      case 'response-metadata':
      case 'ping':
      case 'raw':
        return undefined;
    }
  }

  /** @throws SkeinError `unavailable` when the provider broke off. */
  *end(): Generator<BrainPart> {
    const reason = this.#reason();
    for (const call of this.#calls) yield { type: 'tool-call', call };
    const { inputTokens, outputTokens } = this.#finish?.usage ?? {};
    const usage =
      inputTokens?.total === undefined && outputTokens?.total === undefined
        ? {}
        : { usage: { inputTokens: inputTokens?.total ?? 0, outputTokens: outputTokens?.total ?? 0 } };
    yield { type: 'finish', reason, ...usage };
  }

  #reason(): 'stop' | 'tool-calls' | 'length' | 'filtered' {
    if (this.#finish === undefined) throw malformed(this.#context);
    const { unified, raw } = this.#finish.finishReason;
    switch (unified) {
      case 'stop':
      case 'tool-calls':
        return this.#calls.length > 0 ? 'tool-calls' : 'stop';
      case 'length':
        return 'length';
      case 'content-filter':
        return 'filtered';
      case 'error':
      case 'interrupted':
        throw malformed(this.#context);
      case 'other':
        // Without the provider's own word for it, the stream just ended.
        if (raw === undefined) throw malformed(this.#context);
        return this.#calls.length > 0 ? 'tool-calls' : 'stop';
    }
  }

  #uniqueId(id: string): string {
    let unique = id;
    for (let next = 2; this.#ids.has(unique); next++) unique = `${id}-${next}`;
    this.#ids.add(unique);
    return unique;
  }

  #count(text: string, more = 0): void {
    this.#bytes += Buffer.byteLength(text) + more;
    if (this.#bytes > this.#maxBytes) {
      throw new SkeinError(`${this.#context.label} answered with more than ${this.#maxBytes} bytes`, { code: 'too-large' });
    }
  }
}

/** A call's arguments; those that are not JSON stay the text they are, which no tool's schema accepts. */
function parseInput(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    return text; // The loop tells the model what was wrong with it.
  }
}

function checkBaseUrl(text: string | undefined, label: string): URL {
  if (text === undefined) throw new SkeinError(`${label} needs an address: set brain.baseUrl`, { code: 'invalid' });
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new SkeinError(
      `${label}: its address (brain.baseUrl, or the environment's) must be http or https, without user, query or fragment`,
      {
        code: 'invalid',
      },
    );
  }
  return url;
}
