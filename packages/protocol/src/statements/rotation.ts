import type { PeerId } from '../ids.ts';
import type { Identity, PublicIdentity } from '../keys.ts';
import { rootOf } from './root-statement.ts';
import { readTwoKeys, signTwoKeys, TWO_KEYS_CHARS, verifyTwoKeys } from './two-keys.ts';

const FROM_DOMAIN = 'skein rotation 1 from';
const ROOT_DOMAIN = 'skein rotation 1 root';
const TO_DOMAIN = 'skein rotation 1 to';

/** Characters of a rotation as text. */
export const ROTATION_CHARS = TWO_KEYS_CHARS;
/** Rotations a node presents: those that led to its key last. */
export const ROTATIONS_SHOWN_MAX = 4;

/** A node's key was replaced by another. */
export interface Rotation {
  readonly from: PublicIdentity;
  readonly to: PublicIdentity;
  /** When, by the node's clock. */
  readonly atMs: number;
}

/** The old key vouches for the new one, and the new one takes its place. @throws SkeinError `invalid` for one key twice. */
export function signRotation(from: Identity, to: Identity, atMs: number): string {
  return signTwoKeys({ first: from, second: to, atMs }, [
    { key: from, domain: FROM_DOMAIN },
    { key: to, domain: TO_DOMAIN },
  ]);
}

/**
 * The root of the old key vouches for the new one, in that one's place: for a key that has a root, also one that was lost.
 * @throws SkeinError `invalid` for one key twice.
 */
export function signRootRotation(parts: {
  readonly root: Identity;
  readonly from: PublicIdentity;
  readonly to: Identity;
  readonly atMs: number;
}): string {
  const { root, from, to, atMs } = parts;
  return signTwoKeys({ first: from, second: to, atMs }, [
    { key: root, domain: ROOT_DOMAIN },
    { key: to, domain: TO_DOMAIN },
  ]);
}

/** What a rotation says, unproven: for those who look first whether it concerns them. @throws SkeinError `invalid`. */
export function readRotation(text: string): Rotation {
  const { first, second, atMs } = readTwoKeys(text);
  return { from: first, to: second, atMs };
}

/**
 * What a rotation says, both signatures checked. With the root of the old key, that root's signature is the first, and the
 * old key's own counts for nothing; without, the other way round. @throws SkeinError `invalid`, `unauthenticated`.
 */
export function openRotation(text: string, root?: PublicIdentity): Rotation {
  const rotation = readRotation(text);
  verifyTwoKeys(text, [
    root === undefined ? { key: rotation.from, domain: FROM_DOMAIN } : { key: root, domain: ROOT_DOMAIN },
    { key: rotation.to, domain: TO_DOMAIN },
  ]);
  return rotation;
}

/** What a node shows of how it came to its key: the last rotations, the oldest first, and the roots of keys among them. */
export interface ShownKeys {
  readonly rotations?: readonly string[] | undefined;
  readonly roots?: readonly string[] | undefined;
}

/**
 * Whether these rotations lead from one key to another, each with both its signatures; a key leads to itself. `pinned` is
 * the root the first of them is known to have; else what a statement shown says. From there on all have the same.
 * @throws SkeinError `invalid`, `unauthenticated` for a rotation on the way that is none.
 */
export function leadsTo(
  from: PeerId,
  to: PeerId,
  { rotations = [], roots = [], pinned }: ShownKeys & { readonly pinned?: PublicIdentity | undefined },
): boolean {
  let at = from;
  let root = pinned;
  for (const text of rotations) {
    if (at === to) break;
    if (readRotation(text).from.id !== at) continue;
    root ??= rootOf(at, roots);
    at = openRotation(text, root).to.id;
  }
  return at === to;
}
