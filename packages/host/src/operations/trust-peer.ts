import { type TrustOptions, type TrustRecord, TrustStore } from '@skein/mesh';
import { fingerprintWords, type PeerId, SkeinError } from '@skein/protocol';
import type { DataDir } from '../data-dir.ts';

/** A line of the trust file, for people. */
export interface TrustedPeer {
  readonly id: PeerId;
  readonly name: string;
  readonly fingerprint: string;
  readonly trust: TrustRecord['trust'];
  readonly allowBrain: boolean;
  readonly allowTools: readonly string[] | null;
  readonly denyTools: readonly string[];
  readonly url: string | null;
  readonly revoked: boolean;
  /** Its revocation list counts here. */
  readonly revoker: boolean;
  /** Others are told of its revocation. */
  readonly shared: boolean;
  /** The key that has taken its place. */
  readonly successor: PeerId | null;
}

/** Trusts a key; a node that runs takes it up by itself. */
export function trustPeer(dir: DataDir, line: string, options: Partial<TrustOptions>): TrustedPeer {
  return describe(new TrustStore({ path: dir.authorizedPeers }).trust(line, options));
}

/**
 * Revokes a key, given as its line, its id or its name; a node that runs closes its sessions within two seconds.
 * `connected`: peers by the names they give themselves, which is what people see of them and need not be what the trust
 * file calls them. A name that means one key there and another here revokes neither.
 * @throws SkeinError `not-found`, `conflict` when a name fits several.
 */
export async function revokePeer(
  dir: DataDir,
  who: string,
  {
    connected = [],
    share = false,
  }: { readonly connected?: readonly { readonly id: string; readonly name: string }[]; readonly share?: boolean } = {},
): Promise<TrustedPeer> {
  const named = (await listTrusted(dir)).filter(({ name, successor }) => name === who && successor === null);
  const filed = named.map(({ id }) => id);
  const shown = connected.filter(({ name }) => name === who).map(({ id }) => id);
  const [only, ...others] = new Set([...filed, ...shown]);
  if (others.length > 0) {
    throw new SkeinError(`"${who}" is what several keys are called: ${[only, ...others].join(', ')}. Name one by its id`, {
      code: 'conflict',
    });
  }
  return describe(new TrustStore({ path: dir.authorizedPeers }).revoke(only ?? who, { share }));
}

/** The trust file as it is. @throws SkeinError `corrupt`, `denied`. */
export async function listTrusted(dir: DataDir): Promise<readonly TrustedPeer[]> {
  await using store = new TrustStore({ path: dir.authorizedPeers });
  await store.start();
  return store.list().map(describe);
}

function describe(record: TrustRecord): TrustedPeer {
  return {
    id: record.identity.id,
    name: record.name,
    fingerprint: fingerprintWords(record.identity.id),
    trust: record.trust,
    allowBrain: record.allowBrain,
    allowTools: record.allowTools ?? null,
    denyTools: record.denyTools,
    url: record.url ?? null,
    revoked: record.revoked,
    revoker: record.revoker,
    shared: record.shareRevocation,
    successor: record.successor ?? null,
  };
}
