import { SkeinError } from '@skein/protocol';

const SHOWN_PROBLEMS = 10;

/** All that is wrong with a configuration as one error; each line says where it stands. */
export function invalidConfig(lines: readonly string[]): SkeinError {
  const shown = lines.slice(0, SHOWN_PROBLEMS);
  const more = lines.length - shown.length;
  return new SkeinError([...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'), { code: 'invalid' });
}
