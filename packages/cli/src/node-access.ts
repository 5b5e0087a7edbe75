import path from 'node:path';
import type { ConfigInput, LoadedConfig, LoadOptions, OpenNode } from '@skein/host';
import type { Shell } from './shell.ts';

/** What the config of this command line is loaded with. */
export function loadOptionsOf(shell: Shell, overrides: ConfigInput = {}): LoadOptions {
  const { dir, dataDir, config } = shell.options;
  return {
    ...(dir === undefined ? {} : { cwd: path.resolve(dir) }),
    ...(config === undefined ? {} : { file: path.resolve(config) }),
    // What is typed is relative to where it is typed, not to the config file.
    overrides: { ...overrides, ...(dataDir === undefined ? {} : { dataDir: path.resolve(dataDir) }) },
  };
}

/** The config of this command line. */
export async function loadConfigOf(shell: Shell, overrides: ConfigInput = {}): Promise<LoadedConfig> {
  const { loadConfig } = await import('@skein/host');
  return loadConfig(loadOptionsOf(shell, overrides));
}

/** The running node, or one for this command alone. `peer`: the only one worth waiting for. */
export async function openNodeOf(shell: Shell, options: { readonly peer?: string } = {}): Promise<OpenNode> {
  const { openNode, loadConfig } = await import('@skein/host');
  return openNode(loadConfig(loadOptionsOf(shell)), {
    ...options,
    signal: shell.signal,
    onProgress: (text) => shell.note(text),
  });
}
