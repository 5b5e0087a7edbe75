import {
  type Decision,
  decide,
  type FollowedRotation,
  followRotations,
  type Gatekeeper,
  type Invites,
  type KnownNodes,
  matchesGlob,
  refine,
  restrict,
  type ShownRoot,
  type TrustRecord,
  type TrustStore,
} from '@skein/mesh';
import {
  type Admission,
  formatKeyLine,
  type Grant,
  type Hello,
  type PeerId,
  type PublicIdentity,
  parseKeyLine,
  SkeinError,
  shortPeerId,
} from '@skein/protocol';
import type { NodeConfig } from './config/load-config.ts';

type PeerConfig = NodeConfig['net']['peers'][number];

export interface AuthorityParts {
  readonly trust: TrustStore;
  readonly invites: Invites;
  readonly known: KnownNodes;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  /** An invitation was used: the key it let in is in the trust file. What it calls itself may be another's name here. */
  readonly onPaired: (record: TrustRecord, calledItself: string) => void;
  /** A peer showed that its key was rotated, or has a root: taken over, or refused and why. */
  readonly onRotation: (shown: FollowedRotation | ShownRoot, name: string) => void;
}

/** Who may come in, and who may do what: the trust file, refined by the configuration. */
export class Authority implements Gatekeeper {
  readonly #parts: AuthorityParts;
  /** What the configuration says of keys; made anew when first asked for after a change. */
  #refinements: ReadonlyMap<PeerId, PeerConfig> | undefined;
  #onPinned: () => void = () => {};

  constructor(parts: AuthorityParts) {
    this.#parts = parts;
  }

  admitCaller(peer: PublicIdentity, hello: Hello, binding: Buffer): Admission {
    const { trust, invites, onPaired } = this.#parts;
    this.#follow(peer, hello);
    const known = trust.get(peer.id);
    if (known?.revoked) return { admitted: false, code: 'revoked' };
    if (hello.invite === undefined) return known === undefined ? { admitted: false, code: 'untrusted' } : { admitted: true };
    const redemption = invites.redeem({ ...hello.invite, binding });
    // One who lost the answer to its first try comes again with the same invitation.
    if (!redemption.redeemed) return known === undefined ? { admitted: false, code: 'invite-invalid' } : { admitted: true };
    const { trust: level, allowBrain, voter } = redemption.invitation;
    let record: TrustRecord;
    try {
      record = trust.trustInvited(formatKeyLine(peer, hello.name), { trust: level, allowBrain, voter });
    } catch (error) {
      if (SkeinError.from(error).code === 'denied') return { admitted: false, code: 'revoked' };
      throw error;
    }
    onPaired(record, hello.name);
    return { admitted: true };
  }

  admitAnswer(peer: PublicIdentity, hello: Hello, url: string): Admission {
    this.#follow(peer, hello);
    const known = this.#parts.trust.get(peer.id);
    if (known === undefined) return { admitted: false, code: 'untrusted' };
    if (known.revoked) return { admitted: false, code: 'revoked' };
    this.#pin(url, peer.id);
    return { admitted: true };
  }

  expectedAt(url: string): PeerId | undefined {
    const configured = this.#parts.net().peers.find((peer) => dialUrl(peer.url) === url)?.key;
    const { trust, known } = this.#parts;
    // What the configuration says of a key goes on to the one that took its place.
    if (configured !== undefined) return trust.current(parseKeyLine(configured).identity.id);
    const recorded = trust.list().find((record) => record.url !== undefined && dialUrl(record.url) === url);
    const id = recorded?.identity.id ?? known.get(url);
    return id === undefined ? undefined : trust.current(id);
  }

  /** The address of the configuration where this key is expected. */
  addressOf(id: PeerId): string | undefined {
    this.#refinements ??= this.#refine();
    return this.#refinements.get(id)?.url;
  }

  /** The addresses of the configuration of which it is not known whose they are. */
  openAddresses(): readonly string[] {
    const urls = this.#parts.net().peers.map(({ url }) => dialUrl(url));
    return urls.filter((url) => this.expectedAt(url) === undefined);
  }

  /** Only a key that is unknown here: a peer of ours at another's address has a session to lose. */
  mayBeSuccessor(id: PeerId): boolean {
    return this.#parts.trust.get(id) === undefined;
  }

  nameOf(id: PeerId): string | undefined {
    return this.#parts.trust.get(id)?.name;
  }

  rootOf(id: PeerId): PublicIdentity | undefined {
    return this.#parts.trust.get(id)?.root;
  }

  notSuccessor(peer: PublicIdentity, hello: Hello): void {
    this.#follow(peer, hello);
  }

  /** The trust file, the configuration considered. */
  records(): readonly TrustRecord[] {
    return this.#parts.trust.list().flatMap((record) => this.#refined(record) ?? []);
  }

  /** Whether a key has full trust, the configuration considered. */
  isTrustedInFull(peer: PeerId): boolean {
    const record = this.#refined(this.#parts.trust.get(peer));
    return record !== undefined && !record.revoked && record.trust === 'full';
  }

  /** Whether a peer may use a grant and, where one is named, one of this node's tools. */
  decide(peer: PeerId, grant: Grant, tool?: string): Decision {
    const { net, trust } = this.#parts;
    const { share } = net();
    if (grant === 'tools' && !share.tools) return { allowed: false, reason: 'this node shares no tools (net.share.tools)' };
    if (tool !== undefined && !share.toolAllow.some((glob) => matchesGlob(glob, tool))) {
      return { allowed: false, reason: `the tool ${tool} is not shared (net.share.toolAllow)` };
    }
    return decide(this.#refined(trust.get(peer)), grant, tool);
  }

  /**
   * A trusted key answered by another protocol than ours at an address that was dialled: it is expected there from now on.
   * @throws SkeinError `unauthenticated` when another one is.
   */
  answeredAt(url: string, id: PeerId): void {
    const expected = this.expectedAt(url);
    if (expected !== undefined && expected !== id) {
      throw new SkeinError(`Another key than the expected one answers at ${url}; nothing is sent there`, {
        code: 'unauthenticated',
      });
    }
    this.#pin(url, id);
  }

  /**
   * Who is told, from now on, that a key answered for the first time at an address: what the configuration says of that
   * address counts for a peer that may have a session already. Called while the new session is not yet there.
   */
  set onPinned(told: () => void) {
    this.#onPinned = told;
  }

  /** The trust file, the configuration or a pinned address has changed. */
  changed(): void {
    this.#refinements = undefined;
  }

  #pin(url: string, id: PeerId): void {
    const isNew = this.#parts.known.pin(url, id);
    this.changed();
    if (isNew) this.#onPinned();
  }

  #follow(peer: PublicIdentity, hello: Hello): void {
    const { trust, known, onRotation } = this.#parts;
    for (const shown of followRotations(trust, peer, hello)) {
      if (shown.outcome === 'moved') known.move(shown.from, shown.to);
      // What a stranger calls itself may be another's name.
      onRotation(shown, this.nameOf(shown.type === 'root' ? shown.id : shown.from) ?? shortPeerId(peer.id));
    }
  }

  #refine(): ReadonlyMap<PeerId, PeerConfig> {
    return new Map(
      this.#parts.net().peers.flatMap((peer) => {
        const id = this.expectedAt(dialUrl(peer.url));
        return id === undefined ? [] : [[id, peer] as const];
      }),
    );
  }

  /** The record of a key with what the configuration says of it. */
  #refined(record: TrustRecord | undefined): TrustRecord | undefined {
    if (record === undefined) return undefined;
    this.#refinements ??= this.#refine();
    const entry = this.#refinements.get(record.identity.id);
    if (entry === undefined) return record;
    return isMeant(record, entry) ? refine(record, entry) : restrict(record, entry);
  }
}

/**
 * Whether an entry of the configuration may give this key more than its line does. Authority follows the key: the entry or
 * the line must join the two. That it was the first to answer at the address is enough only for a key of which nobody
 * stated a level; else whoever is trusted with little could take the place of one that is trusted with more.
 */
function isMeant({ url, assumed }: TrustRecord, entry: PeerConfig): boolean {
  return entry.key !== undefined || assumed || (url !== undefined && dialUrl(url) === dialUrl(entry.url));
}

/** The WebSocket address of a peer, from the forms people write. */
export function dialUrl(url: string): string {
  const parsed = new URL(url.replace(/^http(s?):/, 'ws$1:'));
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
