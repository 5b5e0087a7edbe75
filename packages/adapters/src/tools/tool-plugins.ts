import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Tool } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { programBeside } from '../sandbox/program-beside.ts';
import type { Isolation } from '../sandbox/sandbox.ts';
import { spawnSandboxed } from '../sandbox/spawn-sandboxed.ts';
import { importedPackages, programPaths } from './plugins/packages.ts';
import { Plugin, type PluginCrash } from './plugins/plugin.ts';
import { completePlugin, type PluginConfig } from './plugins/plugins-config.ts';

export interface ToolPluginsOptions {
  /** Names that are in use already. */
  readonly taken?: Iterable<string>;
  /** Files and folders no plug-in may see, whatever it is granted around them: the node's keys, data and configuration. */
  readonly hidden?: readonly string[];
  /** Where what `allow.env` names is looked up. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** See `SandboxOptions`. */
  readonly isolation?: Isolation;
  /** Told of each failure of a plug-in that was loaded. */
  readonly onCrash?: (crash: PluginCrash) => void;
  /** Told of each host that a plug-in with a list of them was refused, once. */
  readonly onRefused?: (refusal: PluginRefusal) => void;
  /** Between 0 and 1. */
  readonly random?: () => number;
}

/** A host that a plug-in wanted to reach and was not granted. */
export interface PluginRefusal {
  readonly file: string;
  /** Which, and how it would be granted. */
  readonly problem: string;
}

/** The tools of plug-ins. Dispose it to end their processes. */
export interface ToolPlugins extends AsyncDisposable {
  readonly tools: readonly Tool[];
}

/** Plug-ins that are started at once: each takes a processor for a while. */
const MAX_STARTING = 4;
const PLUGIN_LIMITS = { memoryBytes: 536_870_912, maxProcesses: 64, outputBytesPerSecond: 16_777_216 } as const;

/**
 * The tools that files export: a plug-in is one .ts or .mjs file whose exports include what `defineTool` returns; a path
 * may also be a folder of them. Each runs in a process of its own, which reads its own folder and the packages it imports
 * and may do nothing else that is not allowed; of a file that is named twice, what is said first counts.
 * @throws SkeinError `not-found` for a path that does not exist, `invalid` naming the file that does not load, exports
 * no tool or a broken one, `conflict` for a name that is taken, and what `spawnSandboxed` raises.
 */
export async function loadToolPlugins(
  entries: readonly (string | PluginConfig)[],
  options: ToolPluginsOptions = {},
): Promise<ToolPlugins> {
  const files = await pluginFiles(entries);
  await using started = new AsyncDisposableStack();
  const plugins = [...files].map(([file, allow]) => ({ file, plugin: started.use(createPlugin(file, allow, options)) }));
  const loaded = await loadAll(plugins);
  const tools = collect(loaded, options.taken ?? []);
  const running = started.move();
  return { tools, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function createPlugin(file: string, allow: PluginConfig['allow'], options: ToolPluginsOptions): Plugin {
  return new Plugin({
    file,
    spawn: (digest) => spawnPlugin(file, digest, { allow, options }),
    lacks: { network: allow.network === false, files: allow.read.length + allow.write.length === 0 },
    onCrash: options.onCrash ?? (() => undefined),
    monotonicMs: () => performance.now(),
    random: options.random ?? Math.random,
  });
}

async function spawnPlugin(
  file: string,
  digest: string,
  { allow, options }: { readonly allow: PluginConfig['allow']; readonly options: ToolPluginsOptions },
) {
  const { network, childProcess, write } = allow;
  const folder = dirname(file);
  const [program, packages] = await Promise.all([programPaths(), importedPackages(file)]);
  return await spawnSandboxed({
    name: `The plug-in ${file}`,
    file: process.execPath,
    args: [...conditions(), programBeside(import.meta.url, 'plugins/plugin-process'), file, digest],
    cwd: folder,
    env: pickEnvironment(file, allow.env, options.environment ?? {}),
    grants: { read: [folder, file, ...packages, ...program, ...allow.read], write, network, childProcess },
    hidden: options.hidden ?? [],
    limits: PLUGIN_LIMITS,
    egress: {
      listedIn: `allow.network of the plug-in ${file} in tools.plugins`,
      onRefused: (problem) => options.onRefused?.({ file, problem }),
    },
    ...(options.isolation === undefined ? {} : { isolation: options.isolation }),
  });
}

/** As source this runs from packages that are found by a condition; built, by none. */
function conditions(): readonly string[] {
  return import.meta.url.endsWith('.ts') ? ['--conditions=skein-source'] : [];
}

function pickEnvironment(
  file: string,
  names: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => {
      const value = environment[name];
      if (value !== undefined) return [name, value];
      throw new SkeinError(`The plug-in ${file} is to get ${name}, which is not set; set it or take it out of allow.env`, {
        code: 'not-found',
      });
    }),
  );
}

/** Side by side, a few at a time; in the order of the files. */
async function loadAll(plugins: readonly { readonly file: string; readonly plugin: Plugin }[]) {
  const loaded: { readonly file: string; readonly tools: readonly Tool[] }[] = [];
  for (let at = 0; at < plugins.length; at += MAX_STARTING) {
    const some = plugins.slice(at, at + MAX_STARTING);
    const settled = await Promise.allSettled(some.map(({ plugin }) => plugin.load()));
    for (const [index, outcome] of settled.entries()) {
      if (outcome.status === 'rejected') throw SkeinError.from(outcome.reason);
      loaded.push({ file: some[index]?.file ?? '', tools: outcome.value });
    }
  }
  return loaded;
}

function collect(
  loaded: readonly { readonly file: string; readonly tools: readonly Tool[] }[],
  taken: Iterable<string>,
): Tool[] {
  const owners = new Map<string, string>([...taken].map((name) => [name, 'this node']));
  return loaded.flatMap(({ file, tools }) =>
    tools.map((tool) => {
      const { name } = tool.descriptor;
      const owner = owners.get(name);
      if (owner !== undefined) {
        throw new SkeinError(`The plug-in ${file} exports a tool named ${name}, which ${owner} has already; rename one`, {
          code: 'conflict',
        });
      }
      owners.set(name, file);
      return tool;
    }),
  );
}

/** Each file once, by its path with links resolved, with what it may do. */
async function pluginFiles(entries: readonly (string | PluginConfig)[]): Promise<Map<string, PluginConfig['allow']>> {
  const files = new Map<string, PluginConfig['allow']>();
  for (const entry of entries) {
    const { path, allow } = completePlugin(entry);
    for (const file of await filesAt(resolve(path))) {
      const real = await realpath(file);
      if (!files.has(real)) files.set(real, allow);
    }
  }
  return files;
}

async function filesAt(path: string): Promise<string[]> {
  const stats = await stat(path).catch((error: unknown) => {
    throw new SkeinError(`There is no plug-in file or folder ${path}`, { code: 'not-found', cause: error });
  });
  if (!stats.isDirectory()) {
    if (isPluginName(path)) return [path];
    throw new SkeinError(`The plug-in ${path} is neither a .ts nor an .mjs file`, { code: 'invalid' });
  }
  const names = (await readdir(path)).filter((name) => isPluginName(name) && !/\.test\.\w+$/.test(name));
  return names.sort().map((name) => join(path, name));
}

/** Whether a file of this name in a folder of plug-ins is taken for one. */
export function isPluginName(name: string): boolean {
  return /\.(ts|mjs)$/.test(name) && !name.endsWith('.d.ts');
}
