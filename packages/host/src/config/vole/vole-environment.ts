import { SkeinError } from '@skein/protocol';
import type { Environment } from '../environment.ts';
import type { ConfigInput } from '../schema.ts';
import { MODEL_WORDS, providerOf } from './paws.ts';

/** The variables of VoleNet that are read, and the keys of `net` they stand over. */
const NET_VARIABLES = { VOLE_NET_HOSTNAME: 'hostname', VOLE_NET_PUBLIC_URL: 'publicUrl' } as const;
const BRAIN_VARIABLES: readonly string[] = ['BRAIN_PROVIDER', 'BRAIN_MODEL', 'BRAIN_API_KEY'];

/** What VoleNet's own variables say; those of Skein are stronger. */
export interface VoleEnvironment {
  readonly net: { readonly hostname?: string; readonly publicUrl?: string };
  /** For a node that has `paw-brain`. */
  readonly brain: ConfigInput['brain'];
  /** Variables that are set: those that were read, and those that are not. */
  readonly notes: readonly string[];
}

/** @throws SkeinError `invalid` for a BRAIN_PROVIDER that is none here. */
export function readVoleEnvironment(env: Environment): VoleEnvironment {
  const net = Object.fromEntries(Object.entries(NET_VARIABLES).flatMap(([name, key]) => (env[name] ? [[key, env[name]]] : [])));
  const unread = Object.keys(env).filter(
    (name) =>
      Boolean(env[name]) &&
      (name.startsWith('VOLE_')
        ? !Object.hasOwn(NET_VARIABLES, name)
        : name.startsWith('BRAIN_') && !BRAIN_VARIABLES.includes(name)),
  );
  const read = Object.keys(NET_VARIABLES).filter((name) => env[name]);
  const notes = [
    ...read.map((name) => `${name}: stands over the file`),
    ...unread.sort().map((name) => `${name}: set in the environment, not read here`),
  ];
  return { net, brain: brainOf(env), notes };
}

/** The variable that set a key of `net`, if one did. */
export function voleVariableOf(env: Environment, path: readonly PropertyKey[]): string | undefined {
  const [section, key] = path;
  const name = Object.entries(NET_VARIABLES).find(([, known]) => section === 'net' && known === key)?.[0];
  return name !== undefined && env[name] ? name : undefined;
}

function brainOf(env: Environment): ConfigInput['brain'] {
  const { BRAIN_PROVIDER: word, BRAIN_MODEL: model, BRAIN_API_KEY: key } = env;
  if (!word) return undefined;
  const provider = providerOf(word.toLowerCase());
  if (provider === undefined) {
    throw new SkeinError(`BRAIN_PROVIDER is "${word.slice(0, 60)}"; there are: ${MODEL_WORDS.join(', ')}`, { code: 'invalid' });
  }
  return { provider, ...(model ? { model } : {}), ...(key ? { apiKeyEnv: 'BRAIN_API_KEY' } : {}) };
}
