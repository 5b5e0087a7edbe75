import { SkeinError } from '@skein/protocol';

/** What a plug-in was granted nothing of, so that whatever it tries of that fails. */
export interface Lacks {
  readonly network: boolean;
  readonly files: boolean;
}

/** How what is not granted fails inside a sandbox: it is not there, or not permitted. */
const OF_NETWORK =
  /\b(EAI_AGAIN|ENOTFOUND|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|ERR_ACCESS_DENIED|EACCES|EPERM)\b|^fetch failed/;
const OF_FILES = /\b(ENOENT|EACCES|EPERM|EROFS|ERR_ACCESS_DENIED)\b/;
const SHOWN_CHARACTERS = 300;

/**
 * A failure that looks like one of what was not granted, as an error that says so; undefined for another. `isOwn`: nobody
 * but this node asked, so what the code said may be shown.
 */
export function explainLack(
  { message }: SkeinError,
  { name, lacks, isOwn }: { readonly name: string; readonly lacks: Lacks; readonly isOwn: boolean },
): SkeinError | undefined {
  const found = (lacks.network ? OF_NETWORK.exec(message) : null) ?? (lacks.files ? OF_FILES.exec(message) : null);
  if (found === null) return undefined;
  const without = Object.entries(lacks).flatMap(([what, isLacking]) => (isLacking ? [what] : []));
  const them = without.length === 1 ? `some in tools.plugins[].allow` : 'them in tools.plugins[].allow';
  const problem = isOwn ? message.slice(0, SHOWN_CHARACTERS) : found[0];
  return new SkeinError(`${name} failed: ${problem}. It runs without ${without.join(' and ')}; grant ${them}`, {
    code: 'denied',
  });
}
