import { openRotation, type PeerId, type PublicIdentity, type Rotation, readRotation } from '@skein/protocol';
import type { RotationOutcome, TrustStore } from './trust-store.ts';

/** A rotation that concerned this node, and what came of it. */
export interface FollowedRotation {
  readonly from: PeerId;
  readonly to: PeerId;
  /** `forged`: it lacks a signature. */
  readonly outcome: RotationOutcome | 'forged';
}

/**
 * Takes over what the rotations in a peer's hello say, each by itself and in their order, and tells what came of those
 * that were not known. Those of keys this node does not know are passed over before any signature is looked at.
 */
export function followRotations(
  trust: TrustStore,
  peer: PublicIdentity,
  rotations: readonly string[] = [],
): readonly FollowedRotation[] {
  // Only what leads to the key that was proven: a stranger shows no one else's rotations.
  let next = peer.id;
  const leading: { readonly text: string; readonly rotation: Rotation }[] = [];
  for (const text of rotations.toReversed()) {
    const rotation = read(text);
    if (rotation?.to.id !== next) break;
    next = rotation.from.id;
    leading.unshift({ text, rotation });
  }
  return leading.flatMap(({ text, rotation }) => {
    const { from, to } = rotation;
    if (trust.get(from.id) === undefined || trust.get(from.id)?.successor === to.id) return [];
    const outcome = isProven(text) ? trust.follow(rotation) : 'forged';
    return outcome === 'known' ? [] : [{ from: from.id, to: to.id, outcome }];
  });
}

function read(text: string): Rotation | undefined {
  try {
    return readRotation(text);
  } catch {
    return undefined; // What does not read is no rotation, and so leads nowhere.
  }
}

function isProven(text: string): boolean {
  try {
    openRotation(text);
    return true;
  } catch {
    return false; // Told to the caller as forged.
  }
}
