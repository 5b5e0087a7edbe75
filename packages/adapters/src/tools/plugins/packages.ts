import { existsSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** What a plug-in may import of ours without having it installed beside it. */
const SHARED = ['@skein/agent', '@skein/protocol', 'zod'];
/** Packages one plug-in may need, with those that they need, and its own files that are looked through. */
const MAX_PACKAGES = 1_000;
const MAX_FILES = 200;

const dependencies = z.record(z.string(), z.unknown()).default({});
const manifest = z.object({
  dependencies,
  optionalDependencies: dependencies,
  peerDependencies: dependencies,
});

/** The folders and files that the program of `plugin-process.ts` is made of. */
export async function programPaths(): Promise<string[]> {
  const folder = dirname(fileURLToPath(import.meta.url));
  // src/tools/plugins or dist/tools/plugins: three below the package.
  const own = join(folder, '..', '..', '..', 'package.json');
  return [folder, own, ...(await packagesFor(SHARED, folder))];
}

/** The folders of the packages that a file and those of its own that it imports name, with all that those need. */
export async function importedPackages(file: string): Promise<string[]> {
  const found = new Set<string>();
  const files = [file];
  for (let at = 0; at < files.length && at < MAX_FILES; at += 1) {
    const here = files[at] ?? '';
    for (const specifier of specifiersIn(await readFile(here, 'utf8').catch(() => ''))) {
      if (!specifier.startsWith('.')) {
        for (const folder of await packagesFor([packageName(specifier)], dirname(here))) found.add(folder);
        continue;
      }
      const other = join(dirname(here), specifier);
      if (!files.includes(other)) files.push(other);
    }
  }
  return [...found];
}

/** What a text may import. It may name more than it does: what is only installed may be read. */
function specifiersIn(source: string): string[] {
  return [...source.matchAll(/\b(?:from|import|require)\s*\(?\s*['"]([^'"\n]{1,200})['"]/g)].map((match) => match[1] ?? '');
}

/** `@scope/name/part` is of `@scope/name`, `name/part` of `name`. */
function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Where Node finds packages from a folder, and from there what those depend on; what is not installed is left out. */
async function packagesFor(names: readonly string[], from: string): Promise<string[]> {
  const found = new Set<string>();
  const waiting = names.map((name) => ({ name, from }));
  for (let at = 0; at < waiting.length && found.size < MAX_PACKAGES; at += 1) {
    const next = waiting[at];
    const folder = next === undefined ? undefined : findPackage(next.name, next.from);
    if (folder === undefined || found.has(folder)) continue;
    found.add(folder);
    const real = await realpath(folder);
    for (const name of await dependenciesOf(real)) waiting.push({ name, from: real });
  }
  return [...found];
}

/** The nearest folder of that name in a node_modules at or above a folder. */
function findPackage(name: string, from: string): string | undefined {
  if (!/^(@[\w.~-]+\/)?[\w.~-]+$/.test(name) || name.startsWith('.')) return undefined;
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (dirname(folder) === folder) return undefined;
  }
}

async function dependenciesOf(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => '{}');
  const parsed = manifest.safeParse(parseJson(text));
  if (!parsed.success) return [];
  return Object.values(parsed.data).flatMap((group) => Object.keys(group));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No package then, as far as this is concerned; Node will say so when it is imported.
    return undefined;
  }
}
