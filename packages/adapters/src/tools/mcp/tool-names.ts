import { createHash } from 'node:crypto';

const MAX_CHARS = 64;
const MARK_CHARS = 6;

/**
 * A name for a server's tool that every model provider takes: `<server>_<tool>`, other characters than letters, digits,
 * "_" and "-" as "_". One that is too long or taken ends with a mark made of both names, so it is the same at each start.
 */
export function toolNameOf(server: string, tool: string, taken: (name: string) => boolean): string {
  const plain = `${server}_${tool.replace(/[^a-zA-Z0-9_-]/g, '_')}`;
  if (plain.length <= MAX_CHARS && !taken(plain)) return plain;
  const mark = createHash('sha256').update(`${server}\0${tool}`).digest('hex').slice(0, MARK_CHARS);
  return `${plain.slice(0, MAX_CHARS - MARK_CHARS - 1)}_${mark}`;
}
