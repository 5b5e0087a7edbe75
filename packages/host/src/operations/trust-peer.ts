import { parseVoleLine } from '@skein/dialects';
import {
  formatTrustLine,
  parseTrustLine,
  parseTrustOptions,
  type TrustOptions,
  type TrustRecord,
  TrustStore,
  type TrustStoreParts,
} from '@skein/mesh';
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
  /** Counts in elections. */
  readonly voter: boolean;
  /** Its revocation list counts here. */
  readonly revoker: boolean;
  /** Others are told of its revocation. */
  readonly shared: boolean;
  /** The words of its root, once it has shown one. */
  readonly root: string | null;
  /** The key that has taken its place. */
  readonly successor: PeerId | null;
}

/** A key that was revoked, for people. */
export interface RevokedPeer extends TrustedPeer {
  /** The keys that had taken its place by its own signature alone: they were trusted until now, and are revoked too. */
  readonly alsoRevoked: readonly TrustedPeer[];
  /** The key that its root has put in its place, which stays trusted. */
  readonly stillTrusted: TrustedPeer | null;
}

/** What a node is called and which keys are its own: no peer may be either. */
export type OwnNames = Pick<TrustStoreParts, 'ownName' | 'ownIds'>;

/** Trusts a key; a node that runs takes it up by itself. `givenName`: what its line says, where that is another's name. */
export function trustPeer(
  dir: DataDir,
  line: string,
  options: Partial<TrustOptions>,
  own: OwnNames = {},
): TrustedPeer & { readonly givenName: string | null } {
  const whole = fitted(line);
  const record = new TrustStore({ path: dir.authorizedPeers, ...own }).trust(whole, options);
  const { name } = parseTrustLine(whole);
  return { ...describe(record), givenName: name === record.name ? null : name };
}

/**
 * The key line of one that is trusted already, given by its name or id, so that no line need be at hand to let it do more.
 * A line is returned as it is. @throws SkeinError `not-found`, `conflict` when a name fits several.
 */
export async function trustedKeyLine(dir: DataDir, who: string): Promise<string> {
  if (/\s/.test(who)) return who;
  await using store = new TrustStore({ path: dir.authorizedPeers });
  await store.start();
  const fitting = store.list().filter(({ identity, name, revoked }) => !revoked && (name === who || identity.id === who));
  const [record, ...others] = fitting;
  if (record === undefined) {
    throw new SkeinError(
      `Nobody trusted here is called "${who.slice(0, 60)}"; one that is new takes its whole key line, from: skein net show-key`,
      { code: 'not-found' },
    );
  }
  if (others.length > 0) {
    throw new SkeinError(
      `"${who}" is what several keys are called: ${fitting.map(({ identity }) => identity.id).join(', ')}. Name one by its id`,
      {
        code: 'conflict',
      },
    );
  }
  return formatTrustLine(record).split(' ').slice(0, 3).join(' ');
}

/**
 * Revokes a key, given as its line, its id or its name; a node that runs closes its sessions within two seconds. The
 * keys that took its place by its own signature alone go with it.
 * @throws SkeinError `not-found`, `conflict` when it fits several, `too-large` when this node shares too many already.
 */
export function revokePeer(
  dir: DataDir,
  who: string,
  { share = false, own = {} }: { readonly share?: boolean; readonly own?: OwnNames } = {},
): RevokedPeer {
  const record = new TrustStore({ path: dir.authorizedPeers, ...own }).revoke(who, { share });
  return {
    ...describe(record),
    alsoRevoked: record.alsoRevoked.map(describe),
    stillTrusted: record.stillTrusted === undefined ? null : describe(record.stillTrusted),
  };
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
    voter: record.voter,
    revoker: record.revoker,
    shared: record.shareRevocation,
    root: record.root === undefined ? null : fingerprintWords(record.root.id),
    successor: record.successor ?? null,
  };
}

/** A line of VoleNet has a name of any words, ours one: it is made to fit, unless options of ours stand at its end. */
function fitted(line: string): string {
  const words = line.trim().split(/\s+/);
  const [kind, key, , ...rest] = words;
  if (kind !== 'vole-ed25519' || key === undefined || rest.some(isOptions)) return line;
  const { name, mlDsa } = parseVoleLine(line);
  return [kind, key, name, ...(mlDsa === undefined ? [] : [mlDsa])].join(' ');
}

function isOptions(word: string): boolean {
  try {
    parseTrustOptions(word);
    return true;
  } catch {
    return /^[a-z-]+=/.test(word); // Options that are wrong are for who reads them to tell.
  }
}
