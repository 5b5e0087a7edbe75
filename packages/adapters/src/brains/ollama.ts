import { z } from 'zod';
import { createBoundedFetch } from './bounded-fetch.ts';

const MAX_LIST_BYTES = 1024 * 1024;
const BOUNDS = { maxBytes: MAX_LIST_BYTES, maxLineBytes: MAX_LIST_BYTES };
const tags = z.object({
  models: z.array(z.object({ name: z.string().min(1).max(200), capabilities: z.array(z.string()).optional() })),
});
/** Families whose chat template takes tools, for an Ollama that does not list capabilities. */
const TOOL_FAMILIES =
  /^(qwen3|qwen2\.5|llama3\.[1-9]|llama4|mistral|mixtral|gpt-oss|granite|command-r|devstral|magistral|nemotron|hermes)/;

export interface OllamaModel {
  readonly name: string;
  /** Whether it can use tools; undefined when that is not known. */
  readonly tools: boolean | undefined;
}

/**
 * The model of a running Ollama that serves best, one able to use tools before others; undefined when none answers in
 * time. Nothing that answers badly there is an error: another program may use the port.
 */
export async function findOllamaModel(parts: {
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}): Promise<OllamaModel | undefined> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, parts.timeoutMs);
  if (parts.signal?.aborted) stop();
  parts.signal?.addEventListener('abort', stop, { once: true });
  try {
    const response = await createBoundedFetch(parts.fetch, BOUNDS)(`${parts.url}/api/tags`, {
      signal: controller.signal,
    });
    const { models } = tags.parse(await response.json());
    const known = models
      .filter(({ name }) => !/embed/.test(name))
      .map((model) => ({ name: model.name, tools: useTools(model) }));
    return known.find(({ tools }) => tools === true) ?? known.find(({ tools }) => tools === undefined) ?? known[0];
  } catch {
    return undefined; // Not running, not in time, or not Ollama: each means there is none.
  } finally {
    clearTimeout(timer);
    parts.signal?.removeEventListener('abort', stop);
  }
}

function useTools({ name, capabilities }: z.infer<typeof tags>['models'][number]): boolean | undefined {
  if (capabilities) return capabilities.includes('tools');
  return TOOL_FAMILIES.test(name) ? true : undefined;
}
