import { readdir, stat } from 'node:fs/promises';
import { registerHooks } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tool } from '@skein/agent';
import { SkeinError, toolDescriptor } from '@skein/protocol';

export interface ToolPluginsOptions {
  /** Names that are in use already. */
  readonly taken?: Iterable<string>;
}

/** What a plug-in imports without having it installed beside it: ours is taken. */
const SHARED_PACKAGES = /^(@skein\/(agent|protocol)|zod)(\/|$)/;

/**
 * The tools that files export: a plug-in is one .ts or .mjs file whose exports include what `defineTool` returns; a
 * path may also be a folder of them. Its code runs in this process with all its rights, so load only what you trust.
 * @throws SkeinError `not-found` for a path that does not exist, `invalid` naming the file that does not load, exports
 * no tool or a broken one, `conflict` for a name that is taken.
 */
export async function loadToolPlugins(paths: readonly string[], { taken = [] }: ToolPluginsOptions = {}): Promise<Tool[]> {
  const owners = new Map<string, string>([...taken].map((name) => [name, 'this node']));
  const tools: Tool[] = [];
  for (const path of paths) {
    for (const file of await pluginFiles(resolve(path))) {
      for (const tool of await loadPlugin(file)) {
        const { name } = tool.descriptor;
        const owner = owners.get(name);
        if (owner !== undefined) {
          throw new SkeinError(`The plug-in ${file} exports a tool named ${name}, which ${owner} has already; rename one`, {
            code: 'conflict',
          });
        }
        owners.set(name, file);
        tools.push(tool);
      }
    }
  }
  return tools;
}

async function pluginFiles(path: string): Promise<string[]> {
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

function isPluginName(name: string): boolean {
  return /\.(ts|mjs)$/.test(name) && !name.endsWith('.d.ts');
}

async function loadPlugin(file: string): Promise<Tool[]> {
  const exports = Object.entries(await importPlugin(file));
  const tools = exports.flatMap(([name, value]) => {
    const problem = describeProblem(value);
    if (problem === undefined) return isTool(value) ? [value] : [];
    throw new SkeinError(`The plug-in ${file} exports ${name}, which is no tool: ${problem}`, { code: 'invalid' });
  });
  if (tools.length > 0) return tools;
  const names = exports.map(([name]) => name).join(', ');
  throw new SkeinError(
    `The plug-in ${file} exports no tool (${names === '' ? 'nothing at all' : names}); write: export const hello = defineTool({ … })`,
    { code: 'invalid' },
  );
}

async function importPlugin(file: string): Promise<Record<string, unknown>> {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!SHARED_PACKAGES.test(specifier)) throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
  try {
    const module: Record<string, unknown> = await import(pathToFileURL(file).href);
    return module;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new SkeinError(`The plug-in ${file} does not load: ${text}`, { code: 'invalid', cause: error });
  } finally {
    hooks.deregister();
  }
}

/** What is wrong with an export that means to be a tool; undefined for a good one and for anything else. */
function describeProblem(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  if (!('descriptor' in value)) {
    return 'run' in value && 'input' in value && 'description' in value ? 'wrap it in defineTool(…)' : undefined;
  }
  const parsed = toolDescriptor.safeParse(value.descriptor);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return `its ${issue?.path.join('.') || 'descriptor'} is wrong (${issue?.message ?? 'invalid'})`;
  }
  return isTool(value) ? undefined : 'it lacks run or untrusted; make it with defineTool(…)';
}

function isTool(value: unknown): value is Tool {
  return (
    isObject(value) &&
    toolDescriptor.safeParse(value.descriptor).success &&
    typeof value.run === 'function' &&
    typeof value.untrusted === 'boolean'
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
