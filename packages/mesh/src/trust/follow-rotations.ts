import {
  openRootStatement,
  openRotation,
  type PeerId,
  type PublicIdentity,
  type RootStatement,
  type Rotation,
  readRootStatement,
  readRotation,
  type ShownKeys,
} from '@skein/protocol';
import type { RootOutcome, RotationOutcome, TrustStore } from './trust-store.ts';

/** A rotation that concerned this node, and what came of it. */
export interface FollowedRotation {
  readonly type: 'rotation';
  readonly from: PeerId;
  readonly to: PeerId;
  /** `forged`: it lacks a signature. */
  readonly outcome: RotationOutcome | 'forged';
}

/** A root that a key trusted here showed, and what came of it. */
export interface ShownRoot {
  readonly type: 'root';
  readonly id: PeerId;
  readonly root: PeerId;
  /** `forged`: it lacks a signature. */
  readonly outcome: RootOutcome | 'forged';
}

interface Link {
  readonly text: string;
  readonly rotation: Rotation;
}

/**
 * Takes over what a peer's hello says of its keys: along the rotations that lead to the key that was proven, in their
 * order, of each key first its root and then what took its place. Tells what came of those that were not known. What is of
 * keys this node does not know is passed over before any signature is looked at.
 */
export function followRotations(
  trust: TrustStore,
  peer: PublicIdentity,
  { rotations = [], roots = [] }: ShownKeys,
): readonly (FollowedRotation | ShownRoot)[] {
  const links = leadingTo(peer.id, rotations);
  const rootsOf = (id: PeerId) =>
    roots.flatMap((text) => {
      const statement = read(text, readRootStatement);
      return statement?.node.id === id ? followRoot(trust, statement, text) : [];
    });
  return [...links.flatMap((link) => [...rootsOf(link.rotation.from.id), ...followLink(trust, link)]), ...rootsOf(peer.id)];
}

/** Only what leads to the key that was proven: a stranger shows no one else's rotations. */
function leadingTo(id: PeerId, rotations: readonly string[]): readonly Link[] {
  let next = id;
  const leading: Link[] = [];
  for (const text of rotations.toReversed()) {
    const rotation = read(text, readRotation);
    if (rotation?.to.id !== next) break;
    next = rotation.from.id;
    leading.unshift({ text, rotation });
  }
  return leading;
}

function followLink(trust: TrustStore, { text, rotation }: Link): readonly FollowedRotation[] {
  const { from, to } = rotation;
  const record = trust.get(from.id);
  if (record === undefined || record.successor === to.id) return [];
  const { root } = record;
  const outcome = isProven(() => openRotation(text, root))
    ? trust.follow({ ...rotation, root })
    : root !== undefined && isProven(() => openRotation(text))
      ? 'unrooted'
      : 'forged';
  return outcome === 'known' ? [] : [{ type: 'rotation', from: from.id, to: to.id, outcome }];
}

function followRoot(trust: TrustStore, { node, root }: RootStatement, text: string): readonly ShownRoot[] {
  const record = trust.get(node.id);
  if (record === undefined || record.revoked || record.root?.id === root.id) return [];
  const outcome = isProven(() => openRootStatement(text)) ? trust.pinRoot(node.id, root) : 'forged';
  return outcome === 'known' ? [] : [{ type: 'root', id: node.id, root: root.id, outcome }];
}

/** What does not read is no statement: a rotation leads nowhere then, and a root is nobody's. */
function read<T>(text: string, reader: (text: string) => T): T | undefined {
  try {
    return reader(text);
  } catch {
    return undefined;
  }
}

function isProven(open: () => unknown): boolean {
  try {
    open();
    return true;
  } catch {
    return false; // Told to the caller as forged.
  }
}
