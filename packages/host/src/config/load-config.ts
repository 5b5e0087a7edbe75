import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SkeinError } from '@skein/protocol';
import { type ConfigText, parseConfigText } from './config-text.ts';
import { configFileOf, type Environment, parseEnvironment, readEnvironment } from './environment.ts';
import { explain, formatPath, type Problem, valueAt } from './explain.ts';
import { type Config, type ConfigInput, config } from './schema.ts';

/** The config file's usual name. */
export const CONFIG_FILE = 'skein.config.json';

const SHOWN_PROBLEMS = 10;

export interface LoadOptions {
  /** Where the config file is looked for, and relative paths begin when there is none. Default: the working directory. */
  readonly cwd?: string;
  /** Another file, which must then exist. */
  readonly file?: string | undefined;
  /** Default: this process's environment. */
  readonly env?: Environment;
  /** From the command line; stronger than the environment, which is stronger than the file. */
  readonly overrides?: ConfigInput;
}

/** A node's whole config, complete and checked. */
export interface LoadedConfig {
  readonly config: NodeConfig;
  /** The file it was read from; null when there is none. */
  readonly file: string | null;
  /** Where the file is, or would be: absolute. */
  readonly watchedFile: string;
  /** The environment it was read from, for what looks up a provider's key by name. */
  readonly env: Environment;
}

/** The config with its name known and its paths absolute. */
export type NodeConfig = Omit<Config, 'name' | 'net'> & {
  readonly name: string;
  readonly net: Config['net'] & { readonly keyPath: string };
};

/**
 * Reads file, environment and overrides into one checked config.
 * @throws SkeinError `not-found` for a named file that is not there, `corrupt` for one that does not parse, `invalid` for
 * wrong or unknown keys and variables: always with where it stands, the value, and what was expected.
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const cwd = path.resolve(options.cwd ?? process.cwd());
  const env = options.env ?? readEnvironment();
  const named = options.file ?? configFileOf(env);
  const file = path.resolve(cwd, named ?? CONFIG_FILE);
  const text = readFile(file, named !== undefined);
  const source = text === undefined ? undefined : parseConfigText(text, path.relative(cwd, file) || file);
  const parsed = parseLayers(source, env, options.overrides ?? {});
  return {
    config: complete(parsed, text === undefined ? cwd : path.dirname(file)),
    file: text === undefined ? null : file,
    watchedFile: file,
    env,
  };
}

function readFile(file: string, mustExist: boolean): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' && !mustExist) return undefined;
    if (code === 'ENOENT') {
      throw new SkeinError(`There is no config file ${file}; \`skein init\` writes one`, { code: 'not-found', cause: error });
    }
    throw new SkeinError(`The config file ${file} cannot be read: ${String(code)}`, { code: 'unavailable', cause: error });
  }
}

function parseLayers(source: ConfigText | undefined, env: Environment, overrides: ConfigInput): Config {
  const variables = parseEnvironment(env);
  let value: unknown = source?.value ?? {};
  if (!isPlain(value))
    throw new SkeinError(`${source?.locate([]) ?? 'config'}: a config is one object, { … }`, { code: 'invalid' });
  for (const { path: at, value: set } of variables)
    value = merge(
      value,
      at.reduceRight<unknown>((inner, key) => ({ [key]: inner }), set),
    );
  value = merge(value, overrides);
  const result = config.safeParse(value);
  if (result.success) return result.data;
  const origin = ({ path: at }: Problem): string => {
    if (valueAt(overrides, at) !== undefined) return 'command line';
    const variable = variables.find((candidate) => candidate.path.every((key, i) => at[i] === key));
    return variable?.variable ?? source?.locate(at) ?? 'config';
  };
  const problems = explain(config, result.error.issues, value);
  const lines = problems.slice(0, SHOWN_PROBLEMS).map((problem) => `${origin(problem)}: ${problem.text}`);
  const more = problems.length - lines.length;
  throw new SkeinError([...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'), { code: 'invalid' });
}

/** Objects key by key, everything else replaced; undefined sets nothing. */
function merge(under: unknown, over: unknown): unknown {
  if (over === undefined) return under;
  if (!isPlain(under) || !isPlain(over)) return over;
  const keys = new Set([...Object.keys(under), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, merge(under[key], over[key])]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function complete(parsed: Config, base: string): NodeConfig {
  const { name, net, brain, tools, log } = parsed;
  if (name !== undefined && net.instanceName !== undefined && name !== net.instanceName) {
    throw new SkeinError(
      `name is "${name}" and ${formatPath(['net', 'instanceName'])} "${net.instanceName}"; a node has one name: remove one`,
      { code: 'invalid' },
    );
  }
  const absolute = (file: string) => path.resolve(base, file);
  const dataDir = absolute(parsed.dataDir);
  return {
    ...parsed,
    name: name ?? net.instanceName ?? machineName(),
    dataDir,
    net: { ...net, keyPath: net.keyPath === undefined ? path.join(dataDir, 'key') : absolute(net.keyPath) },
    ...(brain === undefined
      ? {}
      : { brain: { ...withKeyFile(brain, absolute), fallbacks: brain.fallbacks.map((one) => withKeyFile(one, absolute)) } }),
    tools: { ...tools, root: absolute(tools.root) },
    log: log.file === undefined ? log : { ...log, file: absolute(log.file) },
  };
}

function withKeyFile<T extends { readonly apiKeyFile?: string | undefined }>(choice: T, absolute: (file: string) => string): T {
  return choice.apiKeyFile === undefined ? choice : { ...choice, apiKeyFile: absolute(choice.apiKeyFile) };
}

function machineName(): string {
  const name = os
    .hostname()
    .replaceAll(/[^a-zA-Z0-9._-]/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'skein' : name;
}
