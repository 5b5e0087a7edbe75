import { existsSync } from 'node:fs';
import path from 'node:path';
import { createLocalTools, loadToolPlugins } from '@skein/adapters';
import type { Tool } from '@skein/agent';
import type { NodeConfig } from './config/load-config.ts';
import type { DataDir } from './data-dir.ts';

/**
 * This node's own tools: the built-in ones its configuration enables, and the plug-ins in its data directory.
 * @throws SkeinError `invalid` or `conflict` naming the tool or file that is wrong.
 */
export async function loadNodeTools(config: NodeConfig, dir: DataDir, configFile: string | null): Promise<Tool[]> {
  const base = configFile === null ? process.cwd() : path.dirname(configFile);
  const local = createLocalTools({
    config: { ...config.tools, root: path.resolve(base, config.tools.root) },
    hidden: [dir.root, config.net.keyPath, ...(configFile === null ? [] : [configFile])],
  });
  if (!existsSync(dir.tools)) return local;
  return [...local, ...(await loadToolPlugins([dir.tools], { taken: local.map((tool) => tool.descriptor.name) }))];
}
