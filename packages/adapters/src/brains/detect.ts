import type { Brain } from '@skein/agent';
import {
  type BrainConfig,
  baseUrlOf,
  type ConfiguredBrainOptions,
  createConfiguredBrain,
  type Environment,
  findKey,
} from './config.ts';
import { findOllamaModel } from './ollama.ts';
import { createProviderBrain } from './provider-brain.ts';
import { PROVIDER_IDS, type ProviderId, providerOf } from './providers.ts';

export interface DetectBrainOptions extends Omit<ConfiguredBrainOptions, 'environment'> {
  /** The configured brain, which wins. */
  readonly config?: BrainConfig | undefined;
  /** Where Ollama is looked for. */
  readonly ollamaUrl?: string;
  readonly ollamaTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The brain in use, and in words what it is and why. */
export interface DetectedBrain {
  readonly brain: Brain;
  readonly provider: ProviderId;
  readonly model: string;
  /** E.g. `OPENAI_API_KEY is set`. */
  readonly why: string;
}

/**
 * The brain to use: the configured one; else the first provider whose key is in `environment`; else Ollama when it
 * answers with a model; else undefined. Only the configured one can fail.
 * @throws SkeinError as `createConfiguredBrain` does.
 */
export async function detectBrain(
  environment: Environment,
  options: DetectBrainOptions = {},
): Promise<DetectedBrain | undefined> {
  const { config, fetch: fetchPart = fetch, onSwitch } = options;
  if (config) {
    const brain = await createConfiguredBrain(config, { environment, fetch: fetchPart, onSwitch });
    const provider = providerOf(config.provider);
    const model = config.model ?? provider.defaultModel ?? '';
    return { brain, provider: config.provider, model, why: 'the configuration says so' };
  }
  return (await detectKey(environment, fetchPart)) ?? (await detectOllama(fetchPart, options));
}

async function detectKey(environment: Environment, fetch: typeof globalThis.fetch): Promise<DetectedBrain | undefined> {
  for (const id of PROVIDER_IDS) {
    const { apiKey, keySource } = await findKey({ provider: id }, environment);
    const model = providerOf(id).defaultModel;
    if (apiKey === undefined || keySource === undefined || model === undefined) continue;
    const brain = createProviderBrain({
      provider: id,
      apiKey,
      keySource,
      baseUrl: baseUrlOf({ provider: id }, environment),
      fetch,
    });
    return { brain, provider: id, model, why: `${keySource} is set` };
  }
  return undefined;
}

async function detectOllama(fetch: typeof globalThis.fetch, options: DetectBrainOptions): Promise<DetectedBrain | undefined> {
  const url = options.ollamaUrl ?? 'http://127.0.0.1:11434';
  const { signal, ollamaTimeoutMs: timeoutMs = 300 } = options;
  const model = await findOllamaModel({ url, fetch, timeoutMs, signal });
  if (model === undefined) return undefined;
  const brain = createProviderBrain({ provider: 'ollama', model: model.name, baseUrl: `${url}/v1`, fetch });
  const why = `Ollama answers at ${url}${model.tools === false ? '; its model may not be able to use tools' : ''}`;
  return { brain, provider: 'ollama', model: model.name, why };
}
