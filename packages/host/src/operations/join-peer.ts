import { type InviteCode, parseInviteCode, type TrustLevel } from '@skein/mesh';
import { fingerprintWords, formatKeyLine, type PeerId, SkeinError } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { createHost } from '../host.ts';
import { createLog } from '../log.ts';
import { ownKey } from './init-node.ts';
import { trustPeer } from './trust-peer.ts';

/** How long one address of an invitation may take to answer. */
const ADDRESS_MS = 5_000;

/** An invitation before it is accepted: what can be shown of whom it is from. */
export interface ReadInvite {
  readonly peerId: PeerId;
  readonly fingerprint: string;
  readonly addresses: readonly string[];
  readonly code: InviteCode;
}

/** Reads a code; nothing is sent. @throws SkeinError `invalid`. */
export function readInvite(text: string): ReadInvite {
  const code = parseInviteCode(text);
  return { peerId: code.peer, fingerprint: fingerprintWords(code.peer), addresses: code.addresses, code };
}

export interface JoinOptions {
  /** What the one who invites may do here. */
  readonly trust: TrustLevel;
  readonly allowBrain: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** Both sides of a pairing. */
export interface Joined {
  readonly name: string;
  readonly peerId: PeerId;
  readonly fingerprint: string;
  readonly url: string;
  readonly ownFingerprint: string;
}

/**
 * Uses an invitation: the other side trusts this key from then on, and this side trusts the other's, with the address
 * where it answered.
 * @throws SkeinError `unavailable` when no address answers, `denied` or `unauthenticated` when it is refused there.
 */
export async function joinPeer(loaded: LoadedConfig, invite: ReadInvite, options: JoinOptions): Promise<Joined> {
  const { code, peerId, fingerprint } = invite;
  await using host = createHost({ loaded, listen: false, log: createLog({ level: 'silent' }) });
  await host.start();
  const { url, name, identity } = await dialFirst(code.addresses, async (address) => {
    options.onProgress?.(`Trying ${address}`);
    const at = urlOf(address);
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(ADDRESS_MS)]);
    const answer = await host.join(at, { signal, invite: { id: code.id, secret: code.secret }, expected: peerId });
    return { url: at, ...answer };
  });
  const { trust, allowBrain } = options;
  trustPeer(dataDir(loaded.config.dataDir), formatKeyLine(identity, name), { trust, allowBrain, url });
  return { name, peerId, fingerprint, url, ownFingerprint: ownKey(loaded).fingerprint };
}

/** The first address that answers. A refusal ends the search: the invitation is no better elsewhere. */
async function dialFirst<T>(addresses: readonly string[], dial: (address: string) => Promise<T>): Promise<T> {
  const problems: string[] = [];
  for (const address of addresses) {
    try {
      return await dial(address);
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (error.code !== 'unavailable' && error.code !== 'deadline-exceeded') throw error;
      problems.push(`${address}: ${error.message}`);
    }
  }
  throw new SkeinError(
    `No address of the invitation answers. Does \`skein invite\` or \`skein start\` still run there, and does a firewall let its port through?\n${problems.join('\n')}`,
    { code: 'unavailable' },
  );
}

/** On 443 stands what ends TLS in front of a node. */
function urlOf(address: string): string {
  return address.endsWith(':443') ? `wss://${address}` : `ws://${address}`;
}
