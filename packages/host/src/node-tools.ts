import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { completePlugin, createLocalTools, loadToolPlugins, type PluginConfig, type PluginCrash } from '@skein/adapters';
import type { Tool } from '@skein/agent';
import { CONFIG_FILE, type LoadedConfig, type NodeConfig } from './config/load-config.ts';
import { VOLE_CONFIG_FILE } from './config/vole/vole-config.ts';
import { VOLE_FOLDER } from './config/vole/vole-folder.ts';
import type { DataDir } from './data-dir.ts';

export interface NodeToolsParts {
  readonly loaded: Pick<LoadedConfig, 'config' | 'watchedFile' | 'vole' | 'env'>;
  readonly dir: DataDir;
  /** Told of each failure of a plug-in that was loaded. */
  readonly onPluginCrash?: (crash: PluginCrash) => void;
}

/**
 * This node's own tools: the built-in ones its configuration enables, and plug-ins: those it names and those in its data
 * directory. What they run in is ended with `started`.
 * @throws SkeinError `invalid` or `conflict` naming the tool or file that is wrong.
 */
export async function loadNodeTools(parts: NodeToolsParts, started: AsyncDisposableStack): Promise<Tool[]> {
  const { loaded, dir, onPluginCrash } = parts;
  const { config, env } = loaded;
  const hidden = ownFiles(config, dir, loaded);
  const local = createLocalTools({ config: config.tools, hidden });
  const plugins = await loadToolPlugins(pluginEntries(config, dir), {
    taken: local.map((tool) => tool.descriptor.name),
    hidden,
    environment: env,
    ...(onPluginCrash === undefined ? {} : { onCrash: onPluginCrash }),
  });
  return [...local, ...started.use(plugins).tools];
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
export function ownFiles(
  { net, brain, tools }: NodeConfig,
  dir: DataDir,
  { watchedFile, vole }: Pick<LoadedConfig, 'watchedFile' | 'vole'>,
): readonly string[] {
  const secrets = [net.keyPath, net.tls?.key, brain?.apiKeyFile, vole?.places.authorizedVoles];
  const folders = [dirname(watchedFile), tools.root];
  const beside = folders.flatMap((folder) => [CONFIG_FILE, VOLE_CONFIG_FILE, VOLE_FOLDER].map((name) => join(folder, name)));
  return [dir.root, watchedFile, ...beside, ...secrets.filter((file) => file !== undefined)];
}
