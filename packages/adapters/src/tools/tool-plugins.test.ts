import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { rejection, temporaryFolder, toolContext } from '../../test/tool-fixture.ts';
import { loadToolPlugins } from './tool-plugins.ts';

/** A tool as `defineTool` returns it, in code that imports nothing. */
const tool = (name: string, rest = '') =>
  `{ descriptor: { name: '${name}', description: 'Says hello', input: { type: 'object' }, effect: 'read', examples: [] },
     untrusted: false, async run() { return 'hello from ${name}'; } ${rest} }`;

async function folderWith(files: Record<string, string>) {
  const folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
  return folder;
}

describe('a plug-in', () => {
  test('gives the tools it exports, in a file or in a folder', async () => {
    await using folder = await folderWith({
      'b.ts': `const greeting: string = 'x'; export const one = ${tool('one')}; export const two = ${tool('two')}; export { greeting };`,
      'a.mjs': `export const three = ${tool('three')};`,
      'a.test.ts': 'throw new Error("not a plug-in")',
      'types.d.ts': '',
      'notes.md': '',
    });
    const names = async (paths: string[]) => {
      await using plugins = await loadToolPlugins(paths);
      return plugins.tools.map(({ descriptor }) => descriptor.name);
    };
    expect(await names([folder.path])).toEqual(['three', 'one', 'two']);
    expect(await names([join(folder.path, 'b.ts')])).toEqual(['one', 'two']);
    await using plugins = await loadToolPlugins([folder.path]);
    expect(await plugins.tools[0]?.run({}, toolContext())).toBe('hello from three');
  });

  test.each([
    ['does not parse', 'const n = 1;\nexport const x = {', /x\.mjs does not load: .*\(x\.mjs:2\)/],
    ['throws', '\n\nthrow new Error("no database")', /x\.mjs does not load: no database \(x\.mjs:3\)/],
    ['imports what is not there', 'import "no-such-package"; export {};', /x\.mjs does not load: .*no-such-package/],
    ['exports nothing', 'const x = 1;', /exports no tool \(nothing at all\)/],
    ['exports no tool', 'export const x = 1;', /exports no tool \(x\)/],
    [
      'exports a plain definition',
      'export const x = { name: "x", description: "", input: {}, run() {} };',
      /wrap it in defineTool/,
    ],
    ['exports a bad name', `export const x = ${tool('bad name')};`, /exports x, which is no tool: its name is wrong/],
    ['exports a bad effect', `export const x = ${tool('x').replace("'read'", "'none'")};`, /its effect is wrong/],
    ['exports no function', `export const x = ${tool('x', ', run: 1')};`, /lacks run or untrusted/],
  ])('that %s is an error naming file and fault', async (_, text, message) => {
    await using folder = await folderWith({ 'x.mjs': text });
    const error = await rejection(loadToolPlugins([folder.path]));
    expect(error.code).toBe('invalid');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(join(folder.path, 'x.mjs'));
  });

  test('that does not parse as TypeScript is an error naming the line', async () => {
    await using folder = await folderWith({ 'x.ts': 'const n: number = 1;\nexport const x = { a: 1 b: 2 };\n' });
    const error = await rejection(loadToolPlugins([folder.path]));
    expect(error.message).toMatch(/x\.ts does not load: Expected .* \(x\.ts:2\)$/);
  });

  test('with a name that is taken is a conflict naming both', async () => {
    await using folder = await folderWith({
      'a.mjs': `export const a = ${tool('same')};`,
      'b.mjs': `export const b = ${tool('same')};`,
    });
    const error = await rejection(loadToolPlugins([folder.path]));
    expect(error.code).toBe('conflict');
    expect(error.message).toMatch(/b\.mjs exports a tool named same, which .*a\.mjs has already/);
    expect((await rejection(loadToolPlugins([join(folder.path, 'a.mjs')], { taken: ['same'] }))).code).toBe('conflict');
  });

  test('that does not exist, or is another kind of file, is an error', async () => {
    await using folder = await folderWith({ 'x.js': '' });
    expect((await rejection(loadToolPlugins([join(folder.path, 'missing.ts')]))).code).toBe('not-found');
    expect((await rejection(loadToolPlugins([join(folder.path, 'x.js')]))).code).toBe('invalid');
  });

  test('uses this node’s own defineTool and zod where it has none beside it', async () => {
    await using folder = await folderWith({
      'dice.ts': `import { defineTool } from '@skein/agent';
        import { z } from 'zod';
        export const dice = defineTool({
          name: 'dice', description: 'Rolls a die', input: z.object({ sides: z.number() }), effect: 'read',
          run: ({ sides }: { sides: number }) => sides,
        });`,
    });
    await using plugins = await loadToolPlugins([folder.path]);
    expect(await plugins.tools[0]?.run({ sides: 6 }, toolContext())).toBe(6);
  });
});
