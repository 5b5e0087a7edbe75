import { type ElectionSetting, electionSetting, type TrustRecord } from '@skein/mesh';
import { type PeerId, parsePeerId, SkeinError } from '@skein/protocol';

export interface ElectionSettingParts {
  readonly self: PeerId;
  /** What this node is called. */
  readonly name: string;
  /** `net.leader`: `auto`, `quorum`, or the name or id of the one node that leads. */
  readonly leader: string;
  /** `net.voter`: this node votes in `quorum`. */
  readonly voter: boolean;
  /** Whether the configuration names peers to dial. */
  readonly dials: boolean;
  /** The trust file. */
  readonly records: readonly TrustRecord[];
}

/**
 * Under what this node holds its elections. Voters are keys marked so, and only a node that knows no other may be the one
 * voter that leads; in `auto` a key that may only read here does not lead here. @throws SkeinError `invalid` when several keys have the name of the leader.
 */
export function electionSettingOf({ self, name, leader, voter, dials, records }: ElectionSettingParts): ElectionSetting {
  const known = records.filter(({ revoked }) => !revoked);
  if (leader === 'auto') {
    const members = known.filter((record) => record.trust !== 'read' || record.voter).map(({ identity }) => identity.id);
    return electionSetting({ self, mode: 'auto', members: members.filter((id) => id !== self) });
  }
  if (leader === 'quorum') {
    const voters = known.filter((record) => record.voter).map(({ identity }) => identity.id);
    const alone = !dials && known.every(({ identity }) => identity.id === self);
    const others = voters.filter((id) => id !== self);
    return electionSetting({ self, mode: 'quorum', voters: voter ? [self, ...others] : others, alone });
  }
  return electionSetting({ self, mode: 'forced', forced: named(leader, { self, name, known }) });
}

function named(
  leader: string,
  { self, name, known }: { readonly self: PeerId; readonly name: string; readonly known: readonly TrustRecord[] },
): PeerId | undefined {
  const byName = known
    .filter((record) => record.name === leader && record.identity.id !== self)
    .map(({ identity }) => identity.id);
  const all = leader === name ? [self, ...byName] : byName;
  if (all.length > 1) {
    throw new SkeinError(
      `${all.length} keys have the name "${leader}" of net.leader; give the id of the one that leads: ${all.join(', ')}`,
      { code: 'invalid' },
    );
  }
  return all[0] ?? idIn(leader);
}

function idIn(text: string): PeerId | undefined {
  try {
    return parsePeerId(text);
  } catch {
    return undefined; // A name nobody has, then.
  }
}
