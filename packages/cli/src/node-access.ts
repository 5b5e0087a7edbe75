import { statSync } from 'node:fs';
import path from 'node:path';
import type { ConfigInput, LoadedConfig, LoadOptions, OpenNode } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { unlockKey } from './passphrase.ts';
import type { Shell } from './shell.ts';

/** What the config of this command line is loaded with. `mayBeMade`: the folder need not be there yet. */
export function loadOptionsOf(
  shell: Shell,
  { overrides = {}, mayBeMade = false }: { readonly overrides?: ConfigInput; readonly mayBeMade?: boolean } = {},
): LoadOptions {
  const { dir, dataDir, config } = shell.options;
  if (dir !== undefined && !mayBeMade) mustBeFolder(path.resolve(dir));
  return {
    ...(dir === undefined ? {} : { cwd: path.resolve(dir) }),
    ...(config === undefined ? {} : { file: path.resolve(config) }),
    // What is typed is relative to where it is typed, not to the config file.
    overrides: { ...overrides, ...(dataDir === undefined ? {} : { dataDir: path.resolve(dataDir) }) },
  };
}

/** The config of this command line. */
export async function loadConfigOf(shell: Shell): Promise<LoadedConfig> {
  const { loadConfig } = await import('@skein/host');
  return loadConfig(loadOptionsOf(shell));
}

/** A mistyped folder would else become a new node. */
function mustBeFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new SkeinError(`There is no folder ${dir}; --dir says where the node is, and skein init makes one`, {
    code: 'not-found',
  });
}

/** The running node, or one for this command alone. `peer`: the only one worth waiting for; null for none. */
export async function openNodeOf(shell: Shell, options: { readonly peer?: string | null } = {}): Promise<OpenNode> {
  const { connectToRunning, dataDir, findRunning, locateNode, openNode } = await import('@skein/host');
  const { dataDir: root, loaded, problem } = locateNode(loadOptionsOf(shell));
  if (loaded === undefined) {
    // A node that runs goes on as it was configured before.
    const client = connectToRunning(dataDir(root));
    if (client === undefined) throw problem;
    shell.note(`Asking the node that runs in ${root}; its config has an error: ${problem.message}`);
    return { client, running: true, [Symbol.asyncDispose]: async () => {} };
  }
  // A node that runs has its key open.
  const isRunning = findRunning(dataDir(loaded.config.dataDir)) !== undefined;
  return openNode(isRunning ? loaded : await unlockKey(shell, loaded), {
    ...options,
    signal: shell.signal,
    onProgress: (text) => shell.note(text),
  });
}
