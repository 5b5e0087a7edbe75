import type { TrustRecord } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';

/** Peers that are away and named; the others are counted. */
const NAMED_MAX = 3;

export interface Unwilling {
  /** `net.brainSource`: "remote", or the name of a peer. */
  readonly brainSource: string;
  readonly records: readonly TrustRecord[];
  readonly isConnected: (id: PeerId) => boolean;
  readonly cause: unknown;
}

/** No peer does the work of a node without a brain: who is away and may be the one that would, and what lets it else. */
export function nobodyWilling({ brainSource, records, isConnected, cause }: Unwilling): SkeinError {
  const away = records.filter(({ identity, revoked }) => !revoked && !isConnected(identity.id)).map(({ name }) => name);
  const who = brainSource === 'remote' ? anybody(away) : named(brainSource, away);
  return new SkeinError(
    `${who} (net.brainSource is "${brainSource}"); on the other machine run: skein net trust "<this node's key line>" --allow-brain`,
    { code: 'unavailable', cause },
  );
}

function anybody(away: readonly string[]): string {
  const told = away.length > NAMED_MAX ? [...away.slice(0, NAMED_MAX), `${away.length - NAMED_MAX} more`] : away;
  if (told.length === 0) return 'No peer that is connected lets this node use its brain';
  return `${told.join(', ')} ${away.length === 1 ? 'is' : 'are'} away, and no peer that is connected lets this node use its brain`;
}

function named(name: string, away: readonly string[]): string {
  return away.includes(name) ? `${name} is away` : `${name} is not known here or does not let this node use its brain`;
}
