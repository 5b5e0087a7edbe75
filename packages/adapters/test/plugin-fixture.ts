import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ToolContext } from '@skein/agent';
import type { Json } from '@skein/protocol';
import type { PluginCrash } from '../src/tools/plugins/plugin.ts';
import type { PluginConfig } from '../src/tools/plugins/plugins-config.ts';
import { loadToolPlugins, type ToolPluginsOptions } from '../src/tools/tool-plugins.ts';
import { temporaryFolder, toolContext } from './tool-fixture.ts';

/** Plug-ins that were written for one test, running. */
export interface TestPlugins extends AsyncDisposable {
  readonly path: string;
  /** Their failures, as they are told. */
  readonly crashes: readonly PluginCrash[];
  call(tool: string, input?: unknown, context?: ToolContext): Promise<Json>;
}

/** The head of a plug-in of tools that are named after functions: `export const x = tool('x', (input, context) => …)`. */
const HEAD = `import fs from 'node:fs';
const tool = (name, run) => ({
  descriptor: { name, description: '', input: { type: 'object' }, effect: 'read', examples: [] }, untrusted: false,
  run: async (input, context) => run(input, context),
});
`;

export interface TestPluginsOptions extends ToolPluginsOptions {
  readonly allow?: Partial<PluginConfig['allow']>;
}

/** Writes files of tools (`{ 'a.mjs': "export const x = tool('x', () => 1);" }`) and starts them. */
export async function startPlugins(
  files: Readonly<Record<string, string>>,
  { allow, ...options }: TestPluginsOptions = {},
): Promise<TestPlugins> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryFolder());
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), HEAD + text);
  const crashes: PluginCrash[] = [];
  const granted = { network: false, read: [], write: [], env: [], childProcess: false, ...allow };
  const plugins = stack.use(
    await loadToolPlugins([{ path, allow: granted }], { onCrash: (crash) => crashes.push(crash), random: () => 0, ...options }),
  );
  const moved = stack.move();
  return {
    path,
    crashes,
    async call(name, input = {}, context = toolContext()) {
      const tool = plugins.tools.find(({ descriptor }) => descriptor.name === name);
      if (tool === undefined) throw new Error(`there is no tool ${name}`);
      return tool.run(input, context);
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}
