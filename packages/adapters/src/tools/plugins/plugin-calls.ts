import { DeltaRelay, type Tool, type ToolContext } from '@skein/agent';
import { jsonWithin, SkeinError } from '@skein/protocol';
import type { z } from 'zod';
import { type FromPlugin, formatError, MAX_TAINTS, OUTPUT_LIMITS, parseError, type toPlugin } from './plugin-messages.ts';

/** Characters of partial output of one call that are sent. */
const PARTIAL_OUTPUT_CHARS_MAX = 1_000_000;

type Message = z.infer<typeof toPlugin>;
type CallMessage = Extract<Message, { type: 'call' }>;

interface RunningCall {
  readonly controller: AbortController;
  /** Ends the wait of the partial output that was sent last. */
  more: (() => void) | undefined;
}

/** The calls that a plug-in's process runs for its node. */
export class PluginCalls {
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #send: (message: FromPlugin) => void;
  readonly #running = new Map<number, RunningCall>();

  constructor(parts: { readonly tools: readonly Tool[]; readonly send: (message: FromPlugin) => void }) {
    this.#tools = new Map(parts.tools.map((tool) => [tool.descriptor.name, tool]));
    this.#send = parts.send;
  }

  take(message: Message): void {
    switch (message.type) {
      case 'call':
        void this.#run(message);
        return;
      case 'cancel': {
        const call = this.#running.get(message.id);
        if (call === undefined) return;
        this.#send({ type: 'stopping', id: message.id });
        call.controller.abort(parseError(message.error));
        call.more?.();
        return;
      }
      case 'more':
        this.#running.get(message.id)?.more?.();
    }
  }

  /** Never rejects: how it ends is told to the node. */
  async #run(message: CallMessage): Promise<void> {
    const { id } = message;
    const call: RunningCall = { controller: new AbortController(), more: undefined };
    this.#running.set(id, call);
    const relay = new DeltaRelay({
      send: (text) => this.#sendDelta(id, call, text),
      maxChars: PARTIAL_OUTPUT_CHARS_MAX,
    });
    try {
      const tool = this.#tools.get(message.tool);
      if (tool === undefined) throw new SkeinError(`It has no tool ${message.tool}`, { code: 'not-found' });
      const output = readOutput(await tool.run(message.input, this.#context(message, call, relay)));
      await relay.close();
      this.#send({ type: 'result', id, output });
    } catch (error) {
      this.#send({ type: 'failed', id, error: formatError(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  #context({ id, caller, key, onBehalfOf, tainted }: CallMessage, call: RunningCall, relay: DeltaRelay): ToolContext {
    let taints = 0;
    const taint = (source: string) => {
      taints += 1;
      if (taints <= MAX_TAINTS && this.#running.get(id) === call) {
        this.#send({ type: 'taint', id, source: String(source).slice(0, 500) });
      }
    };
    return {
      signal: call.controller.signal,
      ...(caller === undefined ? {} : { caller }),
      ...(key === undefined ? {} : { key }),
      ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
      ...(tainted === undefined ? {} : { turn: { tainted, taint } }),
      emit: (delta) => relay.emit(String(delta)),
    };
  }

  /** Resolves when the node has taken it; at once when the call was stopped or has ended, since nobody reads it any more. */
  #sendDelta(id: number, call: RunningCall, text: string): Promise<void> {
    if (call.controller.signal.aborted || this.#running.get(id) !== call) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    call.more = resolve;
    this.#send({ type: 'delta', id, text });
    return promise;
  }
}

/** What a tool returned as JSON. @throws what JSON.stringify does; SkeinError `too-large`, `invalid`. */
function readOutput(returned: unknown): unknown {
  const text = JSON.stringify(returned ?? null) ?? 'null';
  const { bytes, levels, values } = OUTPUT_LIMITS;
  const length = Buffer.byteLength(text);
  if (length > bytes) throw new SkeinError(`It returned ${length} bytes of JSON; the most is ${bytes}`, { code: 'too-large' });
  if (!jsonWithin(text, levels, Number.POSITIVE_INFINITY)) {
    throw new SkeinError(`It returned something nested deeper than ${levels} levels`, { code: 'invalid' });
  }
  if (!jsonWithin(text, levels, values)) {
    throw new SkeinError(`It returned more than ${values} values`, { code: 'too-large' });
  }
  return JSON.parse(text);
}
