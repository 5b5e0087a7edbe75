import { type Brain, createFailoverBrain, type FailoverOptions } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { readKeyFile } from './key-file.ts';
import { DEFAULT_TIMEOUTS } from './limits.ts';
import { createProviderBrain } from './provider-brain.ts';
import { PROVIDER_IDS, providerOf } from './providers.ts';

/** One model at one provider, as a configuration names it. A key itself never stands in it. */
export const brainChoice = z.strictObject({
  provider: z.enum(PROVIDER_IDS),
  /** Defaults to the provider's. */
  model: z.string().min(1).max(200).optional(),
  /** The environment variable that holds the key; defaults to the provider's usual one. */
  apiKeyEnv: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be the name of an environment variable, not a key')
    .optional(),
  /** A file of mode 0600 that holds the key alone. */
  apiKeyFile: z.string().min(1).optional(),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  temperature: z.number().min(0).max(2).optional(),
  maxOutputTokens: z.number().int().min(1).max(1_000_000).optional(),
  /** The whole answer, in milliseconds. */
  timeoutMs: z.number().int().min(1_000).max(3_600_000).default(120_000),
});
export type BrainChoice = z.infer<typeof brainChoice>;

/** The `brain` section of a node's configuration: a model, and those to ask when it fails. */
export const brainConfig = brainChoice.extend({ fallbacks: z.array(brainChoice).max(8).default([]) });
export type BrainConfig = z.infer<typeof brainConfig>;

/** Environment variables by name, handed in by the host. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfiguredBrainOptions {
  readonly environment: Environment;
  readonly fetch?: typeof fetch | undefined;
  readonly onSwitch?: FailoverOptions['onSwitch'];
}

/**
 * The brain a configuration names, with its fallbacks behind it.
 * @throws SkeinError `unauthenticated` when a key is missing, `invalid` when a model, address or key file is wrong.
 */
export async function createConfiguredBrain(config: BrainConfig, options: ConfiguredBrainOptions): Promise<Brain> {
  const { fallbacks, ...choice } = config;
  const first = await createChosenBrain(choice, options);
  if (fallbacks.length === 0) return first;
  const rest = await Promise.all(fallbacks.map((fallback) => createChosenBrain(fallback, options)));
  const timeouts = [choice, ...fallbacks].map(({ timeoutMs }) => timeoutMs);
  const totalMs = timeouts.reduce((sum, timeoutMs) => sum + timeoutMs, 0);
  const attemptMs = Math.max(...timeouts);
  const { onSwitch } = options;
  return createFailoverBrain([first, ...rest], { totalMs, attemptMs, ...(onSwitch === undefined ? {} : { onSwitch }) });
}

async function createChosenBrain(choice: BrainChoice, { environment, fetch }: ConfiguredBrainOptions): Promise<Brain> {
  const { provider, model, baseUrl, temperature, maxOutputTokens, timeoutMs } = choice;
  return createProviderBrain({
    ...(await findKey(choice, environment)),
    provider,
    model,
    baseUrl: baseUrl ?? baseUrlOf(choice, environment),
    temperature,
    maxOutputTokens,
    fetch,
    timeouts: { ...DEFAULT_TIMEOUTS, totalMs: timeoutMs },
  });
}

/** The key a choice may use and where it stands, without the key when there is none. */
export async function findKey(
  choice: Pick<BrainChoice, 'provider' | 'apiKeyEnv' | 'apiKeyFile'>,
  environment: Environment,
): Promise<{ readonly apiKey?: string; readonly keySource?: string }> {
  const { apiKeyFile, apiKeyEnv } = choice;
  if (apiKeyFile !== undefined) return { apiKey: await readKeyFile(apiKeyFile), keySource: apiKeyFile };
  const variables = apiKeyEnv === undefined ? providerOf(choice.provider).keyVariables : [apiKeyEnv];
  for (const keySource of variables) {
    const apiKey = environment[keySource]?.trim();
    if (apiKey) return { apiKey, keySource };
  }
  if (apiKeyEnv === undefined) return {};
  throw new SkeinError(`${apiKeyEnv}, which brain.apiKeyEnv names, is not set`, { code: 'unauthenticated' });
}

/** The address the provider's own client would read from the environment. */
export function baseUrlOf({ provider }: Pick<BrainChoice, 'provider'>, environment: Environment): string | undefined {
  const variable = providerOf(provider).baseUrlVariable;
  return variable === undefined ? undefined : environment[variable]?.trim() || undefined;
}
