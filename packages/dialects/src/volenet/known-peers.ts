import type { PeerId } from '@skein/protocol';
import type { VoleHost, VoleTrust } from './host.ts';
import { KnownPeer } from './known-peer.ts';
import type { Announcement } from './payloads.ts';
import type { VoleSigner } from './signature.ts';
import type { VoleNetOptions } from './vole-net-options.ts';
import type { VolePeer } from './vole-peer.ts';

export interface KnownPeersParts {
  readonly host: VoleHost;
  readonly signer: VoleSigner;
  readonly options: Pick<VoleNetOptions, 'encryption' | 'messagesPerSecond'>;
  /** Whether the peer's messages must bear an ML-DSA signature. */
  readonly isHybrid: (trust: VoleTrust) => boolean;
  readonly post: (url: string, text: string) => Promise<void>;
  readonly announcement: () => Announcement;
}

/** Trusted keys that sent or were sent something; bounded by the keys that are trusted. */
export class KnownPeers {
  readonly #parts: KnownPeersParts;
  readonly #known = new Map<PeerId, KnownPeer>();

  constructor(parts: KnownPeersParts) {
    this.#parts = parts;
  }

  /** The peers that are connected. */
  get connected(): readonly VolePeer[] {
    return [...this.#known.values()].filter(({ link }) => link.isConnected).map(({ peer }) => peer);
  }

  has(id: PeerId): boolean {
    return this.#known.has(id);
  }

  get(id: PeerId): KnownPeer | undefined {
    return this.#known.get(id);
  }

  /** The peer with a key that is trusted; from now on it is known. */
  of(trust: VoleTrust): KnownPeer {
    const { id } = trust.identity;
    const before = this.#known.get(id);
    if (before !== undefined) return before;
    const { host, signer, options, isHybrid, post, announcement } = this.#parts;
    const trusted = () => {
      const now = host.find(known.link.voleId);
      return now?.identity.id === id ? now : undefined;
    };
    const known: KnownPeer = new KnownPeer({
      host,
      signer,
      encryption: options.encryption,
      messagesPerSecond: options.messagesPerSecond,
      isHybrid: () => isHybrid(trust),
      link: { trust, trusted, post, announcement },
    });
    this.#known.set(id, known);
    return known;
  }

  /** Ends connections of keys that are not trusted any more. */
  endUntrusted(): void {
    for (const [id, known] of this.#known) {
      if (this.#parts.host.find(known.link.voleId)?.identity.id === id) continue;
      known.close('its key is not trusted any more');
      this.#known.delete(id);
    }
  }

  /** The tools offered to peers have changed. */
  toolsChanged(): void {
    for (const known of this.#known.values()) known.toolsChanged();
  }

  /** Sends what may be lost to all that are connected and have the grant. */
  broadcast(
    type: 'memory:sync' | 'session:sync' | 'leader:heartbeat',
    grant: 'memory-read' | 'sessions' | 'presence',
    payload: object,
  ): void {
    // To each by itself, not to "*": then nobody can pass it on as said to others.
    const { host } = this.#parts;
    for (const { link } of this.#known.values()) {
      if (!link.isConnected || host.hasBetter?.(link.id) === true) continue;
      if (host.decide(link.id, grant).allowed) link.trySend(type, payload);
    }
  }

  /** Called every few seconds. */
  tick(): void {
    this.endUntrusted();
    for (const known of this.#known.values()) known.tick();
  }

  close(reason: string): void {
    for (const known of this.#known.values()) known.close(reason);
  }
}
