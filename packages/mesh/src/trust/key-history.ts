import {
  leadsTo,
  openRootStatement,
  type PeerId,
  ROTATIONS_SHOWN_MAX,
  type RootStatement,
  readRootStatement,
  readRotation,
  SkeinError,
} from '@skein/protocol';

/** How a node came to its key, as signed statements. */
export interface KeyHistory {
  /** The last rotations that led to the key, the oldest first. */
  readonly rotations: readonly string[];
  /** The root statement of each key in them that has a root, in the same order, and of the key itself. */
  readonly roots: readonly string[];
}

const ROTATION_LINE = 'skein-rotation ';
const ROOT_LINE = 'skein-root ';

/** The history as lines, which readers of PEM pass over. */
export function formatHistory({ rotations, roots }: KeyHistory): string {
  return [
    ...rotations.map((rotation) => `${ROTATION_LINE}${rotation}\n`),
    ...roots.map((root) => `${ROOT_LINE}${root}\n`),
  ].join('');
}

/** The history among these lines, unproven. */
export function readHistory(text: string): KeyHistory {
  return { rotations: linesOf(text, ROTATION_LINE), roots: linesOf(text, ROOT_LINE) };
}

/** The history among these lines. @throws SkeinError when it does not lead to this key or is not signed. */
export function parseHistory(text: string, id: PeerId): KeyHistory {
  const history = readHistory(text);
  const [oldest = id] = keysOf(history, id);
  if (!leadsTo(oldest, id, history)) throw new SkeinError('Its rotations do not lead to its key', { code: 'corrupt' });
  for (const root of history.roots) openRootStatement(root);
  return history;
}

/** The history with one more rotation and, where there is one, the root statement of the key it leads to. */
export function withRotation({ rotations, roots }: KeyHistory, rotation: string, root?: string): KeyHistory {
  const kept = [...rotations, rotation].slice(-ROTATIONS_SHOWN_MAX);
  const keys = kept.map((text) => readRotation(text).from.id);
  const known = roots.filter((text) => keys.includes(readRootStatement(text).node.id));
  return { rotations: kept, roots: root === undefined ? known : [...known, root] };
}

/** The root of the key this history leads to; undefined where it has none. */
export function currentRoot({ roots }: KeyHistory): RootStatement | undefined {
  const last = roots.at(-1);
  return last === undefined ? undefined : readRootStatement(last);
}

/** The keys of a history, the oldest first and this one last. @throws SkeinError `corrupt` for a gap between them. */
export function keysOf({ rotations }: Pick<KeyHistory, 'rotations'>, id: PeerId): readonly PeerId[] {
  const keys = [id];
  for (const text of rotations.toReversed()) {
    const { from, to } = readRotation(text);
    if (to.id !== keys[0]) throw new SkeinError('Its rotations do not lead to its key', { code: 'corrupt' });
    keys.unshift(from.id);
  }
  return keys;
}

/** What of it a peer is shown: of the roots, that of the oldest key and that of the present one, whose others follow. */
export function shownHistory({ rotations, roots }: KeyHistory): KeyHistory {
  return { rotations, roots: roots.filter((_, index) => index === 0 || index === roots.length - 1) };
}

function linesOf(text: string, prefix: string): readonly string[] {
  return text.split('\n').flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length).trim()] : []));
}
