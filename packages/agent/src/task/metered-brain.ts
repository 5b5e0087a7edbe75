import type { Brain } from '../brain/brain.ts';
import { iterateUntilAborted } from '../turn/waiting.ts';

/** Characters of text that make a token, about. */
const CHARS_PER_TOKEN = 4;
/** What an answer may use is not known before; it is taken to be this. */
const ANSWER_TOKENS = 8_000;

/** What a call used: as the brain said, if it did, and by the length of what was said. */
export interface Used {
  readonly reported: number | undefined;
  readonly estimated: number;
}

/**
 * Called before each call, with what it may use; what it throws is the call's failure. What it returns is called once
 * when the call ends, before its `finish` is passed on.
 */
export type Meter = (estimate: number, signal: AbortSignal) => Promise<(used: Used) => void>;

/** The brain with each of its calls told. */
export function meteredBrain(brain: Brain, meter: Meter): Brain {
  return {
    name: brain.name,
    async *respond(request, { signal }) {
      let chars = JSON.stringify(request).length;
      const tell = await meter(chars + ANSWER_TOKENS, signal);
      const estimated = () => Math.ceil(chars / CHARS_PER_TOKEN);
      let told = false;
      try {
        // Also a brain that takes no notice of its signal has ended then.
        for await (const part of iterateUntilAborted(brain.respond(request, { signal }), signal)) {
          if (part.type === 'text-delta') chars += part.text.length;
          if (part.type === 'tool-call') chars += JSON.stringify(part.call).length;
          if (part.type === 'finish' && !told) {
            told = true;
            const reported = part.usage === undefined ? undefined : part.usage.inputTokens + part.usage.outputTokens;
            tell({ reported, estimated: estimated() });
          }
          yield part;
        }
      } finally {
        // One that was cut off has cost something too.
        if (!told) tell({ reported: undefined, estimated: estimated() });
      }
    },
  };
}
