import path from 'node:path';
import { detectBrain } from '@skein/adapters';
import { type Brain, createIntentsBrain } from '@skein/agent';
import type { LoadedConfig } from './config/load-config.ts';

/** A brain with what people are told of it. */
export interface ChosenBrain {
  readonly brain: Brain;
  /** How to get a better one; null for any but the built-in one. */
  readonly hint: string | null;
}

/**
 * The brain of a node: the configured one, else that of a provider whose key is in the environment, else Ollama when it
 * answers, else the built-in one. Undefined when the configuration wants none, or a peer's and names none of its own.
 */
export async function chooseBrain(
  loaded: Pick<LoadedConfig, 'config' | 'env' | 'vole' | 'watchedFile'>,
): Promise<ChosenBrain | undefined> {
  const { env } = loaded;
  const { brain: config, name, net } = loaded.config;
  const provider = config?.provider;
  if (provider === 'none' || (provider === undefined && net.brainSource !== 'local')) return undefined;
  if (provider !== 'intents') {
    const detected = await detectBrain(
      env,
      config === undefined || provider === undefined ? {} : { config: { ...config, provider } },
    );
    if (detected !== undefined) return { brain: detected.brain, hint: null };
  }
  return { brain: createIntentsBrain({ thisNode: name }), hint: hintOf(loaded) };
}

/** Says the file by its name alone: that of the demo's nodes is written anew from the one where the demo is run. */
function hintOf({ vole, watchedFile }: Pick<LoadedConfig, 'vole' | 'watchedFile'>): string {
  const setting = vole === undefined ? `brain.provider in ${path.basename(watchedFile)}` : 'BRAIN_PROVIDER and BRAIN_API_KEY';
  return `For another brain set OPENAI_API_KEY or ANTHROPIC_API_KEY (or another provider’s), run Ollama with a model, or set ${setting}`;
}
