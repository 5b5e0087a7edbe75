import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SkeinError } from '@skein/protocol';
import { type ConfigText, parseConfigText, salvageConfigText } from './config-text.ts';
import { configFileOf, type Environment, parseEnvironment, readEnvironment } from './environment.ts';
import { explain, formatPath, type Problem, valueAt } from './explain.ts';
import { invalidConfig } from './problems.ts';
import { type Config, type ConfigInput, config, DATA_DIR } from './schema.ts';
import { convertVoleConfig, refuseLacking, VOLE_CONFIG_FILE } from './vole/vole-config.ts';
import { leftBehind, type VolePlaces, volePlaces } from './vole/vole-folder.ts';

/** The config file's usual name. */
export const CONFIG_FILE = 'skein.config.json';

const TAKEN_AT_START =
  'authorized_voles: taken over at each start; take trust back with skein net revoke, not by removing a line there';

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

/** What more there is where the file is one of VoleNet. */
export interface LoadedVole {
  readonly places: VolePlaces;
  /** What a key of `authorized_voles` may do. */
  readonly trustUnlisted: 'tool' | 'read';
  /** What differs from there, for people; one line each. */
  readonly notes: readonly string[];
}

/** A node's whole config, complete and checked. */
export interface LoadedConfig {
  readonly config: NodeConfig;
  /** Given where it was made from a `vole.config.json`. */
  readonly vole?: LoadedVole;
  /** The file it was read from; null when there is none. */
  readonly file: string | null;
  /** Where the file is, or would be: absolute. */
  readonly watchedFile: string;
  /** The passphrase of the key as a person typed it; a function, so that nothing writes it down with the rest. */
  readonly keyPassphrase?: () => string;
  /** The environment it was read from, for what looks up a provider's key by name. */
  readonly env: Environment;
}

/** The config with its name known and its paths absolute. */
export type NodeConfig = Omit<Config, 'name' | 'net'> & {
  readonly name: string;
  readonly net: Config['net'] & { readonly keyPath: string };
};

/**
 * Reads file, environment and overrides into one checked config. Where no file is named and there is no
 * `skein.config.json`, a `vole.config.json` is read as VoleNet means it; so is one that is named.
 * @throws SkeinError `not-found` for a named file that is not there, `corrupt` for one that does not parse, `invalid` for
 * wrong or unknown keys and variables: always with where it stands, the value, and what was expected; `unsupported` for
 * what a config of VoleNet asks for that there is not.
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const cwd = path.resolve(options.cwd ?? process.cwd());
  const env = options.env ?? readEnvironment();
  const named = options.file ?? configFileOf(env);
  const place = findFile(cwd, named);
  const text = readFile(place.file, named !== undefined || place.isVole);
  const source = text === undefined ? undefined : parseConfigText(text, path.relative(cwd, place.file) || place.file);
  const overrides = options.overrides ?? {};
  const base = text === undefined ? cwd : path.dirname(place.file);
  const read = { file: text === undefined ? null : place.file, watchedFile: place.file, env };
  if (source === undefined || !place.isVole) {
    return { config: complete(parseLayers(source, env, overrides), base), ...read };
  }
  const { vole, values } = readVole(source, { base, env });
  return { config: complete(parseLayers({ ...source, value: values }, env, overrides), base), vole, ...read };
}

/** Where a node has its files, and its config, or what is wrong with that. */
export type LocatedNode = { readonly dataDir: string } & (
  | { readonly loaded: LoadedConfig; readonly problem: undefined }
  | { readonly loaded: undefined; readonly problem: SkeinError }
);

/**
 * Where a node has its files, also while its config has an error: for what must not wait until that is mended.
 * @throws SkeinError as `loadConfig` where a named file is not there or cannot be read.
 */
export function locateNode(options: LoadOptions = {}): LocatedNode {
  try {
    const loaded = loadConfig(options);
    return { dataDir: loaded.config.dataDir, loaded, problem: undefined };
  } catch (thrown) {
    const problem = SkeinError.from(thrown);
    if (problem.code !== 'corrupt' && problem.code !== 'invalid' && problem.code !== 'unsupported') throw problem;
    const cwd = path.resolve(options.cwd ?? process.cwd());
    const env = options.env ?? readEnvironment();
    const { file } = findFile(cwd, options.file ?? configFileOf(env));
    const text = readFile(file, false);
    const value = text === undefined ? undefined : salvageConfigText(text);
    const written = isPlain(value) ? value.dataDir : undefined;
    const said = [options.overrides?.dataDir, env.SKEIN_DATA_DIR, written].find((one) => typeof one === 'string' && one !== '');
    const base = text === undefined ? cwd : path.dirname(file);
    return { dataDir: path.resolve(base, typeof said === 'string' ? said : DATA_DIR), loaded: undefined, problem };
  }
}

/** Where the config is, or would be; that of VoleNet only where there is none of ours. */
function findFile(cwd: string, named: string | undefined): { readonly file: string; readonly isVole: boolean } {
  const ours = path.resolve(cwd, named ?? CONFIG_FILE);
  if (named !== undefined) return { file: ours, isVole: path.basename(ours) === VOLE_CONFIG_FILE };
  const theirs = path.join(cwd, VOLE_CONFIG_FILE);
  return !existsSync(ours) && existsSync(theirs) ? { file: theirs, isVole: true } : { file: ours, isVole: false };
}

function readVole(
  source: ConfigText,
  { base, env }: { readonly base: string; readonly env: Environment },
): { readonly vole: LoadedVole; readonly values: ConfigInput } {
  const { config: values, keyPath, trustUnlisted, notes, refused } = convertVoleConfig(source, env);
  refuseLacking(refused, VOLE_CONFIG_FILE);
  const places = volePlaces(base, keyPath);
  return {
    vole: { places, trustUnlisted, notes: [TAKEN_AT_START, ...notes, ...leftBehind(places)] },
    values: { ...values, net: { ...values.net, keyPath: places.key } },
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
  let value: unknown = source === undefined ? {} : source.value;
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
  throw invalidConfig(problems.map((problem) => `${origin(problem)}: ${problem.text}`));
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
    net: {
      ...net,
      keyPath: net.keyPath === undefined ? path.join(dataDir, 'key') : absolute(net.keyPath),
      ...(net.keyPassphraseFile === undefined ? {} : { keyPassphraseFile: absolute(net.keyPassphraseFile) }),
      ...(net.tls === undefined ? {} : { tls: { cert: absolute(net.tls.cert), key: absolute(net.tls.key) } }),
    },
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
