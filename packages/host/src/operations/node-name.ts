import { SkeinError } from '@skein/protocol';
import { nodeName } from '../config/net.ts';

const SHOWN_CHARACTERS = 60;

/** What is wrong with a name for a node, with the name; undefined where it is good. */
export function nodeNameProblem(name: string): string | undefined {
  const parsed = nodeName.safeParse(name);
  if (parsed.success) return undefined;
  const shown = name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name;
  return `"${shown}" is no name for a node: ${parsed.error.issues[0]?.message ?? 'it does not fit'}`;
}

/** The name as it is. @throws SkeinError `invalid` as `nodeNameProblem` says. */
export function checkNodeName(name: string): string {
  const problem = nodeNameProblem(name);
  if (problem !== undefined) throw new SkeinError(problem, { code: 'invalid' });
  return name;
}
