import { BRAIN_HINT, detectBrain } from '@skein/adapters';
import { type Brain, createIntentsBrain } from '@skein/agent';
import type { NodeConfig } from './config/load-config.ts';

/** A brain with what people are told of it. */
export interface ChosenBrain {
  readonly brain: Brain;
  /** How to get another one; null when a person chose this one. */
  readonly hint: string;
}

/**
 * The brain of a node: the configured one, else that of a provider whose key is in the environment, else Ollama when it
 * answers, else the built-in one. Undefined when the configuration wants none, or a peer's and names none of its own.
 */
export async function chooseBrain(
  { brain: config, name, net }: Pick<NodeConfig, 'brain' | 'name' | 'net'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ChosenBrain | undefined> {
  const provider = config?.provider;
  if (provider === 'none' || (provider === undefined && net.brainSource !== 'local')) return undefined;
  if (provider !== 'intents') {
    const detected = await detectBrain(
      env,
      config === undefined || provider === undefined ? {} : { config: { ...config, provider } },
    );
    if (detected !== undefined) return { brain: detected.brain, hint: detected.hint };
  }
  return { brain: createIntentsBrain({ thisNode: name }), hint: BRAIN_HINT };
}
