import type { Brain, BrainPart, BrainRequest } from '../src/brain/brain.ts';

type Parts = Iterable<BrainPart> | AsyncIterable<BrainPart>;
/** One answer of the brain, from what it was asked. */
export type Script = (request: BrainRequest, signal: AbortSignal) => Parts;

/** A brain that answers by script, the last one over and over, and keeps what it was asked. */
export class ScriptedBrain implements Brain {
  readonly name = 'scripted';
  readonly requests: BrainRequest[] = [];
  readonly #scripts: readonly Script[];

  constructor(...scripts: readonly Script[]) {
    this.#scripts = scripts;
  }

  async *respond(request: BrainRequest, options: { readonly signal: AbortSignal }): AsyncGenerator<BrainPart> {
    this.requests.push(request);
    const script = this.#scripts[Math.min(this.requests.length, this.#scripts.length) - 1];
    if (script !== undefined) yield* script(request, options.signal);
  }
}

/** Says this and stops. */
export function say(...texts: readonly string[]): Script {
  return () => [...texts.map((text) => ({ type: 'text-delta', text }) as const), { type: 'finish', reason: 'stop' }];
}

/** Calls these tools, [name, input] each, and stops. */
export function call(...calls: readonly (readonly [name: string, input?: unknown])[]): Script {
  return (request) => [
    ...calls.map(([name, input], index) => {
      const id = `call-${request.messages.length}-${index}`;
      return { type: 'tool-call', call: { id, name, input: input ?? {} } } as const;
    }),
    { type: 'finish', reason: 'tool-calls' },
  ];
}

/** Never answers and takes no notice of its signal. */
export const hang: Script = () => ({
  [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<BrainPart>>(() => {}) }),
});
