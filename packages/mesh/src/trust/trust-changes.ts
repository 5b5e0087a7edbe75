import type { PeerId } from '@skein/protocol';
import type { TrustRecord } from './trust-record.ts';

/** What happened to a key. `removed` and `revoked` mean: end its sessions now. */
export interface TrustChange {
  readonly type: 'added' | 'changed' | 'revoked' | 'removed';
  readonly id: PeerId;
  /** As it is now; with `removed`, as it was. */
  readonly record: TrustRecord;
}

/** What happened between two states of the trust file, the keys that went first. */
export function* changesBetween(
  before: ReadonlyMap<PeerId, TrustRecord>,
  after: ReadonlyMap<PeerId, TrustRecord>,
): Generator<TrustChange> {
  for (const [id, record] of before) {
    if (!after.has(id)) yield { type: 'removed', id, record };
  }
  for (const [id, record] of after) {
    const old = before.get(id);
    if (old === undefined) yield { type: record.revoked ? 'revoked' : 'added', id, record };
    else if (record.revoked && !old.revoked) yield { type: 'revoked', id, record };
    else if (fields(record) !== fields(old)) yield { type: 'changed', id, record };
  }
}

function fields({ identity, ...rest }: TrustRecord): string {
  return JSON.stringify(rest);
}
