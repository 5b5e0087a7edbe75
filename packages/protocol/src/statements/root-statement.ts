import type { PeerId } from '../ids.ts';
import type { Identity, PublicIdentity } from '../keys.ts';
import { readTwoKeys, signTwoKeys, TWO_KEYS_CHARS, verifyTwoKeys } from './two-keys.ts';

const NODE_DOMAIN = 'skein root 1 node';
const ROOT_DOMAIN = 'skein root 1 root';

/** Characters of a root statement as text. */
export const ROOT_CHARS = TWO_KEYS_CHARS;
/** Root statements a node presents: of the oldest key in what it shows, and of its own. */
export const ROOTS_SHOWN_MAX = 2;

/** A node's key has a root: the key without which it is not rotated any more. */
export interface RootStatement {
  readonly node: PublicIdentity;
  readonly root: PublicIdentity;
  /** When, by the clock of the machine where it was made. */
  readonly atMs: number;
}

/** The key takes the root, and the root takes the key. @throws SkeinError `invalid` for one key twice. */
export function signRootStatement(node: Identity, root: Identity, atMs: number): string {
  return signTwoKeys({ first: node, second: root, atMs }, [
    { key: node, domain: NODE_DOMAIN },
    { key: root, domain: ROOT_DOMAIN },
  ]);
}

/** What a root statement says, unproven: for those who look first whether it concerns them. @throws SkeinError `invalid`. */
export function readRootStatement(text: string): RootStatement {
  const { first, second, atMs } = readTwoKeys(text);
  return { node: first, root: second, atMs };
}

/** What a root statement says, both signatures checked. @throws SkeinError `invalid`, `unauthenticated`. */
export function openRootStatement(text: string): RootStatement {
  const statement = readRootStatement(text);
  verifyTwoKeys(text, [
    { key: statement.node, domain: NODE_DOMAIN },
    { key: statement.root, domain: ROOT_DOMAIN },
  ]);
  return statement;
}

/**
 * The root of a key by the first of these statements that is of this key; undefined when none is.
 * @throws SkeinError `invalid`, `unauthenticated` when that one is not signed by both.
 */
export function rootOf(id: PeerId, roots: readonly string[]): PublicIdentity | undefined {
  const text = roots.find((one) => readRootStatement(one).node.id === id);
  return text === undefined ? undefined : openRootStatement(text).root;
}
