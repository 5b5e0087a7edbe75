import { randomBytes } from 'node:crypto';
import {
  createWebTransport,
  type InviteCode,
  Mesh,
  parseInviteCode,
  Router,
  systemClock,
  type TrustLevel,
  TrustStore,
} from '@skein/mesh';
import { fingerprintWords, formatKeyLine, type PeerId, SkeinError } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { loadNodeKey, ownIdsOf } from '../node-key.ts';
import { ensureKey } from './init-node.ts';

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
  /** Counts in elections here. */
  readonly voter?: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** Both sides of a pairing. */
export interface Joined {
  /** What the other side is called here. */
  readonly name: string;
  /** What it calls itself, where that is another's name here. */
  readonly givenName: string | null;
  readonly peerId: PeerId;
  readonly fingerprint: string;
  readonly url: string;
  readonly ownFingerprint: string;
}

/**
 * Uses an invitation: the other side trusts this key from then on, and this side trusts the other's, with the address
 * where it answered. Works beside a running node, which takes the new trust up by itself.
 * @throws SkeinError `unavailable` when no address answers, `denied` or `unauthenticated` when it is refused, here or there.
 */
export async function joinPeer(loaded: LoadedConfig, invite: ReadInvite, options: JoinOptions): Promise<Joined> {
  const { code, peerId, fingerprint } = invite;
  const { trust: level, allowBrain, voter = false, signal, onProgress } = options;
  const { key } = ensureKey(loaded);
  const { name: ownName, dataDir: root } = loaded.config;
  const ownIds = ownIdsOf(loaded);
  if (ownIds.includes(peerId)) {
    throw new SkeinError("The invitation is this node's own; use it on the other machine", { code: 'invalid' });
  }
  await using trust = new TrustStore({ path: dataDir(root).authorizedPeers, ownName, ownIds });
  await trust.start();
  if (trust.get(peerId)?.revoked === true) {
    throw new SkeinError('The key that the invitation is from was revoked here; trust it again first: skein net trust', {
      code: 'denied',
    });
  }
  await using mesh = createJoiningMesh(loaded, peerId);
  const { url, givenName, identity } = await dialFirst(code.addresses, async (address) => {
    onProgress?.(`Trying ${address}`);
    const at = urlOf(address);
    // A command makes a handful of these in its life: nothing that could add up.
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ADDRESS_MS)]);
    const peer = await mesh.dial(at, { signal: limit, invite: { id: code.id, secret: code.secret }, expected: peerId });
    return { url: at, givenName: peer.name, identity: peer.identity };
  });
  const { name } = trust.trustInvited(formatKeyLine(identity, givenName), { trust: level, allowBrain, voter, url });
  return { name, givenName: name === givenName ? null : givenName, peerId, fingerprint, url, ownFingerprint: key.fingerprint };
}

/** A mesh for one session: only the key the invitation is from may answer, and nothing is served. */
function createJoiningMesh(loaded: LoadedConfig, inviter: PeerId): Mesh {
  const { name, net } = loaded.config;
  return new Mesh({
    identity: loadNodeKey(loaded).identity,
    name,
    boot: randomBytes(16).toString('hex'),
    gatekeeper: {
      admitCaller: () => ({ admitted: false, code: 'untrusted' }),
      admitAnswer: ({ id }) => (id === inviter ? { admitted: true } : { admitted: false, code: 'untrusted' }),
      expectedAt: () => inviter,
    },
    transports: [createWebTransport()],
    router: new Router(),
    limits: { maxConcurrentCalls: 1, maxMessagesPerSecond: net.maxMessagesPerSecond },
    clock: systemClock,
    random: Math.random,
    onEvent: () => {},
    onInternalError: () => {},
  });
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
