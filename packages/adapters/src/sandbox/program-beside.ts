import { fileURLToPath } from 'node:url';

/** The path of a program in the folder of a module (its `import.meta.url`), as source or built as that is. */
export function programBeside(moduleUrl: string, name: string): string {
  return fileURLToPath(new URL(`./${name}${moduleUrl.endsWith('.ts') ? '.ts' : '.js'}`, moduleUrl));
}
