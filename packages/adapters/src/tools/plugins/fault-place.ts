import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Where in a plug-in, or in a file beside it, something is wrong: `mail.ts:12`; undefined where nothing says. */
export function faultPlace(thrown: unknown, file: string): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const place = placeIn(thrown, file);
  // Node names no line of what does not parse as JavaScript; its parser of TypeScript, which reads that too, does.
  if (place !== undefined || thrown.name !== 'SyntaxError' || file.endsWith('.ts')) return place;
  try {
    stripTypeScriptTypes(readFileSync(file, 'utf8'), { sourceUrl: pathToFileURL(file).href });
    return undefined;
  } catch (error) {
    return error instanceof Error ? placeIn(error, file) : undefined;
  }
}

function placeIn({ stack = '' }: Error, file: string): string | undefined {
  const folder = pathToFileURL(`${dirname(file)}/`).href;
  const at = stack.indexOf(folder);
  const [, place, line] = (at < 0 ? null : /^(file:[^\s:]+):(\d+)/.exec(stack.slice(at))) ?? [];
  if (place === undefined) return undefined;
  return `${fileURLToPath(place).slice(fileURLToPath(folder).length)}:${line}`;
}
