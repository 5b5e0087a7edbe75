import { existsSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  completePlugin,
  createLocalTools,
  endLeftCommands,
  isPluginName,
  loadToolPlugins,
  type PluginConfig,
  type ToolPluginsOptions,
} from '@skein/adapters';
import { type Tool, ToolSet, untilAborted } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import type { Logger } from 'pino';
import { CONFIG_FILE, type LoadedConfig, type NodeConfig } from './config/load-config.ts';
import { VOLE_CONFIG_FILE } from './config/vole/vole-config.ts';
import { VOLE_FOLDER } from './config/vole/vole-folder.ts';
import type { DataDir } from './data-dir.ts';
import { type HostEvent, problemEvent } from './events.ts';
import { openForeignTools } from './features/foreign-tools.ts';

/** How long a node of one command waits for the tools of servers. */
const FOREIGN_TOOLS_MS = 5_000;

export interface NodeToolSetParts {
  readonly loaded: LoadedConfig;
  readonly dir: DataDir;
  /** Tools beside those of the configuration. */
  readonly more: readonly Tool[];
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  /** How busy a peer is, for the choice among peers with the same tool. */
  readonly loadOf: (id: string) => number;
  /** A node of one command has no second chance to offer what comes later, so it waits for that a while. */
  readonly isBrief: boolean;
  readonly log: Logger;
  readonly onEvent: (event: HostEvent) => void;
}

/**
 * All tools a node has: its own, and those of databases and servers, which come and go while it runs. What they run in is
 * ended with `started`. @throws SkeinError as `loadNodeTools`.
 */
export async function openNodeTools(parts: NodeToolSetParts, started: AsyncDisposableStack): Promise<ToolSet> {
  const { loaded, dir, net, loadOf, log, onEvent } = parts;
  const { config, env } = loaded;
  const plugins: PluginListeners = {
    onCrash({ file, problem, lastWords }) {
      log.warn({ file, problem }, 'plug-in failed');
      // It may hold anything, so it is written only where somebody looks for what is wrong.
      log.debug({ file, lastWords }, 'plug-in wrote at last');
    },
    onRefused: ({ file, problem }) => log.warn({ file, problem }, 'plug-in was refused the network'),
  };
  for (const file of await overlookedPlugins(dir)) log.warn({ file }, 'not loaded: a plug-in is one .ts or .mjs file');
  const noFolder = toolFolderProblem(loaded);
  if (noFolder !== undefined) log.warn({ folder: config.tools.root, problem: noFolder }, 'tools have no folder');
  const [own, left] = await Promise.all([loadNodeTools({ loaded, dir, plugins }, started), endLeftCommands(dir.root)]);
  if (left > 0) log.warn({ processes: left }, 'ended what commands of an earlier run left behind');
  const fixed = [...own, ...parts.more];
  const tools = new ToolSet({ local: fixed, ownName: config.name, routing: () => net().routing, loadOf });
  const offer = () => {
    try {
      tools.replaceLocal([...fixed, ...foreign.tools]);
    } catch (error) {
      onEvent(problemEvent(null, 'tools', SkeinError.from(error).message));
    }
  };
  const foreign = started.use(
    await openForeignTools({
      config: config.tools,
      env,
      hidden: ownFiles(config, dir, loaded),
      taken: fixed.map((tool) => tool.descriptor.name),
      knownPath: dir.knownMcpTools,
      onTools: () => setImmediate(offer),
      onEvent,
    }),
  );
  if (parts.isBrief) await untilAborted(foreign.firstTry, AbortSignal.timeout(FOREIGN_TOOLS_MS)).catch(() => undefined);
  offer();
  return tools;
}

/** Told of each failure of a plug-in that was loaded, and of what it reached for in vain. */
type PluginListeners = Pick<ToolPluginsOptions, 'onCrash' | 'onRefused'>;

export interface NodeToolsParts {
  readonly loaded: Pick<LoadedConfig, 'config' | 'watchedFile' | 'vole' | 'env'>;
  readonly dir: DataDir;
  readonly plugins?: PluginListeners;
}

/**
 * This node's own tools: the built-in ones its configuration enables, and plug-ins: those it names and those in its data
 * directory. What they run in is ended with `started`.
 * @throws SkeinError `invalid` or `conflict` naming the tool or file that is wrong.
 */
export async function loadNodeTools(parts: NodeToolsParts, started: AsyncDisposableStack): Promise<Tool[]> {
  const { loaded, dir } = parts;
  const { config, env } = loaded;
  const hidden = ownFiles(config, dir, loaded);
  const local = createLocalTools({ config: config.tools, hidden, owner: dir.root });
  const plugins = await loadToolPlugins(pluginEntries(config, dir), {
    ...parts.plugins,
    taken: local.map((tool) => tool.descriptor.name),
    hidden,
    environment: env,
  });
  return [...local, ...started.use(plugins).tools];
}

/** The tools that work in `tools.root`. */
const FILING_TOOLS = ['shell_exec', 'read_file', 'write_file', 'list_files'];

/** What is wrong with the folder that tools work in, by the key of the file it stands in; undefined when nothing is. */
export function toolFolderProblem({ config: { tools }, vole }: Pick<LoadedConfig, 'config' | 'vole'>): string | undefined {
  const { enabled, root } = tools;
  if (!FILING_TOOLS.some((name) => enabled.includes(name)) || isFolder(root)) return undefined;
  const key = vole === undefined ? 'tools.root' : `allow.filesystem in ${VOLE_CONFIG_FILE}`;
  return `the folder that tools work in (${key}) is not there, so they fail: make ${root}, or name another`;
}

function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    return false; // Something in front of it is no folder, or not for this user.
  }
}

/** Files in the folder of plug-ins that look like some and are not loaded: by their whole path. */
export async function overlookedPlugins(dir: DataDir): Promise<readonly string[]> {
  const names = existsSync(dir.tools) ? await readdir(dir.tools) : [];
  const looksLikeOne = (name: string) => /\.[cm]?[jt]sx?$/.test(name) && !/\.(d|test)\.\w+$/.test(name);
  return names.filter((name) => looksLikeOne(name) && !isPluginName(name)).map((name) => join(dir.tools, name));
}

/** Those that are named first, so that one in the data directory may be named to say what it may do. */
function pluginEntries({ tools }: NodeConfig, dir: DataDir): (string | PluginConfig)[] {
  const absolute = (path: string) => resolve(tools.root, path);
  const named = tools.plugins.map((entry) => {
    const { path, allow } = completePlugin(entry);
    const { read, write } = allow;
    return { path: absolute(path), allow: { ...allow, read: read.map(absolute), write: write.map(absolute) } };
  });
  return existsSync(dir.tools) ? [...named, dir.tools] : named;
}

/**
 * What is this node's own and no tool's: its data, keys and config files, also where there are none yet; and what an
 * OpenVole node keeps beside them, since this one may take it over.
 */
function ownFiles(
  { net, brain, tools }: NodeConfig,
  dir: DataDir,
  { watchedFile, vole }: Pick<LoadedConfig, 'watchedFile' | 'vole'>,
): readonly string[] {
  const secrets = [net.keyPath, net.tls?.key, brain?.apiKeyFile, vole?.places.authorizedVoles];
  const folders = [dirname(watchedFile), tools.root];
  const beside = folders.flatMap((folder) => [CONFIG_FILE, VOLE_CONFIG_FILE, VOLE_FOLDER].map((name) => join(folder, name)));
  return [dir.root, watchedFile, ...beside, ...secrets.filter((file) => file !== undefined)];
}
