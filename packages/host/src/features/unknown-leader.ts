import { nearestNames, peerId } from '@skein/protocol';

const MODES = ['auto', 'quorum'] as const;

/** What is wrong, and what to do, in words. */
export interface Advice {
  readonly text: string;
  readonly fix: string;
}

/** Said of a `net.leader` that names nobody known here, so that nobody leads; undefined where it is a mode or a known node. */
export function unknownLeader(parts: {
  /** What this node is called. */
  readonly name: string;
  /** `net.leader`. */
  readonly leader: string;
  /** The trust file. */
  readonly records: readonly {
    readonly name: string;
    readonly identity: { readonly id: string };
    readonly revoked: boolean;
  }[];
}): Advice | undefined {
  const { name, leader, records } = parts;
  const known = records.filter(({ revoked }) => !revoked);
  const names = [...new Set([...MODES, name, ...known.map((record) => record.name)])];
  // An id is nobody's typing mistake; whether its node is there, the election says.
  if (names.includes(leader) || peerId.safeParse(leader).success) return undefined;
  const [near] = nearestNames(leader, names);
  const meant = near === undefined ? `there are: ${names.slice(0, 20).join(', ')}` : `did you mean "${near}"?`;
  return {
    text: `net.leader is "${leader}", which is no mode and no node trusted here, so nobody leads.`,
    fix: `${meant} (net.leader is "auto", "quorum", or the name of a node that is trusted here)`,
  };
}
