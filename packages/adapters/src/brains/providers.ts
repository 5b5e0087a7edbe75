import type { LanguageModelV4, LanguageModelV4CallOptions } from '@ai-sdk/provider';

/** What a row needs to make a model. */
export interface ModelSettings {
  readonly model: string;
  readonly baseUrl: string;
  /** Undefined only for a provider whose key is optional. */
  readonly apiKey: string | undefined;
  readonly fetch: typeof fetch;
}

/** One model provider. */
export interface Provider {
  /** For people. */
  readonly label: string;
  /** Environment variables that may hold its key, the usual one first; none for a server that needs none. */
  readonly keyVariables: readonly string[];
  readonly keyOptional?: boolean;
  /** An environment variable with another address to use, as the provider's own client reads it. */
  readonly baseUrlVariable?: string;
  /** Undefined where it must be configured. */
  readonly baseUrl?: string;
  /** Undefined where it must be configured. */
  readonly defaultModel?: string;
  /** Sent with every request. */
  readonly providerOptions?: LanguageModelV4CallOptions['providerOptions'];
  /** Loads the provider's package on the first call and makes the model. */
  open(settings: ModelSettings): Promise<LanguageModelV4>;
}

/** What the providers' packages take. Address and key are always given, so that they never look into the environment. */
function options({ apiKey = '', baseUrl, fetch }: ModelSettings): { apiKey: string; baseURL: string; fetch: typeof fetch } {
  return { apiKey, baseURL: baseUrl, fetch };
}

async function openCompatible(name: string, settings: ModelSettings): Promise<LanguageModelV4> {
  const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
  const { apiKey, baseUrl, fetch } = settings;
  const key = apiKey === undefined ? {} : { apiKey };
  return createOpenAICompatible({ name, baseURL: baseUrl, fetch, includeUsage: true, ...key }).chatModel(settings.model);
}

/** The providers' names, in the order in which a key found in the environment is taken. */
export const PROVIDER_IDS = [
  'openai',
  'anthropic',
  'google',
  'groq',
  'mistral',
  'cohere',
  'deepseek',
  'xai',
  'perplexity',
  'togetherai',
  'fireworks',
  'nvidia',
  'openrouter',
  'ollama',
  'openai-compatible',
] as const;
export type ProviderId = (typeof PROVIDER_IDS)[number];

/** Every provider that ships. */
export const PROVIDERS: Readonly<Record<ProviderId, Provider>> = {
  openai: {
    label: 'OpenAI',
    keyVariables: ['OPENAI_API_KEY'],
    baseUrlVariable: 'OPENAI_BASE_URL',
    baseUrl: 'https://api.openai.com/v1',
    defaultModel: 'gpt-5.4-mini',
    // Chat completions, not responses: nothing is stored at the provider, and every gateway speaks it.
    open: async (settings) => (await import('@ai-sdk/openai')).createOpenAI(options(settings)).chat(settings.model),
  },
  anthropic: {
    label: 'Anthropic',
    keyVariables: ['ANTHROPIC_API_KEY'],
    baseUrl: 'https://api.anthropic.com/v1',
    defaultModel: 'claude-sonnet-4-6',
    open: async (settings) => (await import('@ai-sdk/anthropic')).createAnthropic(options(settings)).chat(settings.model),
  },
  google: {
    label: 'Google Gemini',
    keyVariables: ['GOOGLE_GENERATIVE_AI_API_KEY', 'GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
    defaultModel: 'gemini-flash-latest',
    open: async (settings) => (await import('@ai-sdk/google')).createGoogle(options(settings)).chat(settings.model),
  },
  groq: {
    label: 'Groq',
    keyVariables: ['GROQ_API_KEY'],
    baseUrl: 'https://api.groq.com/openai/v1',
    defaultModel: 'openai/gpt-oss-120b',
    open: async (settings) => (await import('@ai-sdk/groq')).createGroq(options(settings)).languageModel(settings.model),
  },
  mistral: {
    label: 'Mistral',
    keyVariables: ['MISTRAL_API_KEY'],
    baseUrl: 'https://api.mistral.ai/v1',
    defaultModel: 'mistral-large-latest',
    open: async (settings) => (await import('@ai-sdk/mistral')).createMistral(options(settings)).chat(settings.model),
  },
  cohere: {
    label: 'Cohere',
    keyVariables: ['COHERE_API_KEY'],
    baseUrl: 'https://api.cohere.com/v2',
    defaultModel: 'command-a-03-2025',
    open: async (settings) => (await import('@ai-sdk/cohere')).createCohere(options(settings)).languageModel(settings.model),
  },
  deepseek: {
    label: 'DeepSeek',
    keyVariables: ['DEEPSEEK_API_KEY'],
    baseUrl: 'https://api.deepseek.com',
    defaultModel: 'deepseek-v4-flash',
    open: async (settings) => (await import('@ai-sdk/deepseek')).createDeepSeek(options(settings)).chat(settings.model),
  },
  xai: {
    label: 'xAI Grok',
    keyVariables: ['XAI_API_KEY'],
    baseUrl: 'https://api.x.ai/v1',
    defaultModel: 'grok-latest',
    // The package speaks responses, which keep every conversation unless told not to.
    providerOptions: { xai: { store: false } },
    open: async (settings) => (await import('@ai-sdk/xai')).createXai(options(settings)).languageModel(settings.model),
  },
  perplexity: {
    label: 'Perplexity',
    keyVariables: ['PERPLEXITY_API_KEY'],
    baseUrl: 'https://api.perplexity.ai',
    defaultModel: 'sonar-pro',
    open: async (settings) =>
      (await import('@ai-sdk/perplexity')).createPerplexity(options(settings)).languageModel(settings.model),
  },
  togetherai: {
    label: 'Together AI',
    keyVariables: ['TOGETHER_API_KEY', 'TOGETHER_AI_API_KEY'],
    baseUrl: 'https://api.together.xyz/v1',
    defaultModel: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
    open: async (settings) =>
      (await import('@ai-sdk/togetherai')).createTogetherAI(options(settings)).chatModel(settings.model),
  },
  fireworks: {
    label: 'Fireworks',
    keyVariables: ['FIREWORKS_API_KEY'],
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    defaultModel: 'accounts/fireworks/models/kimi-k2p6',
    open: async (settings) => (await import('@ai-sdk/fireworks')).createFireworks(options(settings)).chatModel(settings.model),
  },
  nvidia: {
    label: 'NVIDIA NIM',
    keyVariables: ['NVIDIA_API_KEY'],
    baseUrl: 'https://integrate.api.nvidia.com/v1',
    defaultModel: 'meta/llama-3.3-70b-instruct',
    open: (settings) => openCompatible('nvidia', settings),
  },
  openrouter: {
    label: 'OpenRouter',
    keyVariables: ['OPENROUTER_API_KEY'],
    baseUrl: 'https://openrouter.ai/api/v1',
    defaultModel: 'openrouter/auto',
    open: (settings) => openCompatible('openrouter', settings),
  },
  ollama: {
    label: 'Ollama',
    keyVariables: [],
    keyOptional: true,
    baseUrl: 'http://127.0.0.1:11434/v1',
    open: (settings) => openCompatible('ollama', settings),
  },
  // LM Studio, vLLM, llama.cpp, OpenClaw and any other gateway that speaks chat completions.
  'openai-compatible': {
    label: 'OpenAI-compatible gateway',
    keyVariables: [],
    keyOptional: true,
    open: (settings) => openCompatible('gateway', settings),
  },
};

/** The row of an id. */
export function providerOf(id: ProviderId): Provider {
  return PROVIDERS[id];
}
