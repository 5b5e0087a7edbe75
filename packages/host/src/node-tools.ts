import { existsSync } from 'node:fs';
import { createLocalTools, loadToolPlugins } from '@skein/adapters';
import type { Tool } from '@skein/agent';
import type { NodeConfig } from './config/load-config.ts';
import type { DataDir } from './data-dir.ts';

/**
 * This node's own tools: the built-in ones its configuration enables, and the plug-ins in its data directory.
 * @throws SkeinError `invalid` or `conflict` naming the tool or file that is wrong.
 */
export async function loadNodeTools(config: NodeConfig, dir: DataDir, configFile: string): Promise<Tool[]> {
  const { apiKeyFile } = config.brain ?? {};
  const local = createLocalTools({
    config: config.tools,
    // The config file also where there is none yet: a tool must not write one.
    hidden: [dir.root, config.net.keyPath, configFile, ...(apiKeyFile === undefined ? [] : [apiKeyFile])],
  });
  if (!existsSync(dir.tools)) return local;
  return [...local, ...(await loadToolPlugins([dir.tools], { taken: local.map((tool) => tool.descriptor.name) }))];
}
