import type { PeerId } from '@skein/protocol';
import type { TrustRecord } from './trust-record.ts';

/**
 * The keys whose place here rests on what this one alone has signed, in their order: its successor and what came after
 * that, whatever root one of those has shown. None where this key has a root itself: that one put the successor there, as
 * an owner does after a theft.
 */
export function standingOn(key: TrustRecord, known: ReadonlyMap<PeerId, TrustRecord>): readonly TrustRecord[] {
  const found = new Set<TrustRecord>();
  const after = ({ successor }: TrustRecord) => (successor === undefined ? undefined : known.get(successor));
  let next = key.root === undefined ? after(key) : undefined;
  // Each once: a file may lead in a circle.
  while (next !== undefined && next.identity.id !== key.identity.id && !found.has(next)) {
    found.add(next);
    next = after(next);
  }
  return [...found];
}
