import { SkeinError } from '@skein/protocol';
import { nearest } from './explain.ts';

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

type Kind = 'text' | 'number' | 'boolean' | 'list';

interface Variable {
  readonly path: readonly string[];
  readonly kind: Kind;
}

/** Every variable of ours and the config value it overrides. */
const VARIABLES: Readonly<Record<string, Variable>> = {
  SKEIN_NAME: { path: ['name'], kind: 'text' },
  SKEIN_DATA_DIR: { path: ['dataDir'], kind: 'text' },
  SKEIN_NET_ENABLED: { path: ['net', 'enabled'], kind: 'boolean' },
  SKEIN_HOST: { path: ['net', 'host'], kind: 'text' },
  SKEIN_PORT: { path: ['net', 'port'], kind: 'number' },
  SKEIN_HOSTNAME: { path: ['net', 'hostname'], kind: 'text' },
  SKEIN_PUBLIC_URL: { path: ['net', 'publicUrl'], kind: 'text' },
  SKEIN_KEY_PATH: { path: ['net', 'keyPath'], kind: 'text' },
  SKEIN_KEY_PASSPHRASE_FILE: { path: ['net', 'keyPassphraseFile'], kind: 'text' },
  SKEIN_SHARE_TOOLS: { path: ['net', 'share', 'tools'], kind: 'boolean' },
  SKEIN_BRAIN_PROVIDER: { path: ['brain', 'provider'], kind: 'text' },
  SKEIN_BRAIN_MODEL: { path: ['brain', 'model'], kind: 'text' },
  SKEIN_BRAIN_URL: { path: ['brain', 'baseUrl'], kind: 'text' },
  SKEIN_CONFIRM_BEFORE_ACT: { path: ['agent', 'confirmBeforeAct'], kind: 'boolean' },
  SKEIN_PAGE_ENABLED: { path: ['page', 'enabled'], kind: 'boolean' },
  SKEIN_PAGE_HOST: { path: ['page', 'host'], kind: 'text' },
  SKEIN_PAGE_ALLOWED_HOSTS: { path: ['page', 'allowedHosts'], kind: 'list' },
  SKEIN_LOG_LEVEL: { path: ['log', 'level'], kind: 'text' },
  SKEIN_LOG_FILE: { path: ['log', 'file'], kind: 'text' },
};

/** Names another config file; the one variable that is not a config value. */
const FILE_VARIABLE = 'SKEIN_CONFIG';

/** Every variable of ours by name, with the path of the config value it overrides; null for the one that names the file. */
export function environmentVariables(): readonly { readonly name: string; readonly path: string | null }[] {
  const values = Object.entries(VARIABLES).map(([name, { path }]) => ({ name, path: path.join('.') }));
  return [{ name: FILE_VARIABLE, path: null }, ...values];
}

/** A config value that came from the environment. */
export interface EnvironmentValue {
  readonly variable: string;
  readonly path: readonly string[];
  readonly value: string | number | boolean | readonly string[];
}

/** The environment this process was started with. The only place that reads it. */
export function readEnvironment(): Environment {
  return process.env;
}

/** The config file the environment names, if it does. */
export function configFileOf(env: Environment): string | undefined {
  return env[FILE_VARIABLE] || undefined;
}

/**
 * The config values the environment sets. An empty variable sets nothing.
 * @throws SkeinError `invalid` for a variable of ours that does not exist, naming the nearest, or one that does not read.
 */
export function parseEnvironment(env: Environment): readonly EnvironmentValue[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('SKEIN_') && name !== FILE_VARIABLE)
    .sort()
    .flatMap((name) => {
      const variable = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
      if (variable === undefined) {
        const known = [...Object.keys(VARIABLES), FILE_VARIABLE];
        throw new SkeinError(`${name} is set, and no such variable exists; ${nearest(name, known, 'variable')}`, {
          code: 'invalid',
        });
      }
      const text = env[name] ?? '';
      return text === '' ? [] : [{ variable: name, path: variable.path, value: parseValue(name, text, variable.kind) }];
    });
}

function parseValue(name: string, text: string, kind: Kind): EnvironmentValue['value'] {
  switch (kind) {
    case 'text':
      return text;
    case 'list':
      return text.split(',').map((part) => part.trim());
    case 'number':
      if (/^\d{1,15}$/.test(text)) return Number(text);
      throw new SkeinError(`${name} is "${text}"; expected a whole number`, { code: 'invalid' });
    case 'boolean':
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      if (/^(0|false|no|off)$/i.test(text)) return false;
      throw new SkeinError(`${name} is "${text}"; expected true or false`, { code: 'invalid' });
  }
}
