import { type Clock, TokenBucket } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import type { VoleMessage } from './door.ts';
import type { VoleEvent, VoleHost } from './host.ts';
import type { Encryption } from './message-writer.ts';
import { type Announcement, isSealable, type ReadBody, requestOf, type VoleBody, type VoleType } from './payloads.ts';
import { PeerLink, type PeerLinkParts } from './peer-link.ts';
import { ServedRequests } from './served-requests.ts';
import type { VoleSigner } from './signature.ts';
import { VolePeer } from './vole-peer.ts';
import type { VoleSocket } from './vole-socket.ts';

/** A tool list is taken so often at most; of several that come sooner the last counts. */
const OFFER_PAUSE_MS = 250;
/** A peer that is not of our kind does not say when its tools change: it is asked so often. */
const LIST_MS = 60_000;

export interface KnownPeerParts {
  readonly host: VoleHost;
  readonly link: Omit<PeerLinkParts, 'onJoined' | 'onLeft' | 'clock' | 'signer' | 'encryption'>;
  readonly signer: VoleSigner;
  readonly encryption: Encryption;
  readonly messagesPerSecond: number;
  readonly isHybrid: () => boolean;
}

/** One trusted key, met or not: the ways to it, what it may ask, and what it is asked. */
export class KnownPeer {
  readonly link: PeerLink;
  readonly peer: VolePeer;
  readonly #parts: KnownPeerParts;
  readonly #clock: Clock;
  readonly #served: ServedRequests;
  readonly #bucket: TokenBucket;
  #releaseOffer: (() => void) | undefined;
  #offer: readonly unknown[] | undefined;
  #listedAtMs = 0;

  constructor(parts: KnownPeerParts) {
    const { host, signer, encryption } = parts;
    const { clock } = host;
    this.#parts = parts;
    this.#clock = clock;
    this.link = new PeerLink({
      ...parts.link,
      signer,
      clock,
      encryption,
      onJoined: () => this.#joined(),
      onLeft: (reason) => this.#left(reason),
    });
    const name = () => parts.link.trusted()?.name ?? parts.link.trust.name;
    this.peer = new VolePeer({ link: this.link, name, clock, encryption, isHybrid: parts.isHybrid });
    this.#served = new ServedRequests({
      host,
      link: this.link,
      clock,
      onProblem: (error) => this.#emit({ type: 'refused', address: this.peer.name, peer: this.link.id, error }),
    });
    this.#bucket = new TokenBucket(parts.messagesPerSecond, clock.monotonicMs());
  }

  /**
   * Takes one verified message, from the socket it came on or from HTTP. Announcements are answered by the caller.
   * @throws SkeinError `busy` over the peer's rate, `denied` for what it may not, `invalid` for an answer that does not fit;
   * nobody is told but this node.
   */
  receive({ id, body, sealed }: VoleMessage, socket: VoleSocket | undefined): void {
    this.link.heard();
    const kind = kindOf(body);
    if (this.#parts.encryption === 'require' && !sealed && isSealable(kind)) {
      throw new SkeinError(`A ${kind} came unsealed, and this node takes none so`, { code: 'denied' });
    }
    const waitMs = this.#bucket.take(1, this.#clock.monotonicMs());
    if (waitMs > 0) {
      const { messagesPerSecond } = this.#parts;
      const busy = `busy: more than ${messagesPerSecond} messages a second; try again in ${Math.ceil(waitMs)} ms`;
      const error = new SkeinError(busy, { code: 'busy', retryAfterMs: waitMs });
      const asked = requestOf(body);
      if (asked !== undefined) this.#served.refuse(asked, error);
      throw error;
    }
    if (body.type === 'unfit-answer') {
      this.peer.settleUnfit(body);
      throw body.error;
    }
    if (body.type === 'unfit') {
      this.#served.refuse(body, body.error);
      this.#emit({ type: 'refused', address: this.peer.name, peer: this.link.id, error: body.error });
    } else if (body.type !== 'ping') this.#dispatch(body, socket);
    else if (socket !== undefined) this.link.sendOn(socket, 'pong', { timestamp: this.#clock.now(), echo: id });
  }

  /** The tools this node offers have changed. */
  toolsChanged(): void {
    if (this.link.isConnected) this.#served.list({ unasked: true });
  }

  /** Called every few seconds. */
  tick(): void {
    this.link.tick();
    const nowMs = this.#clock.monotonicMs();
    if (!this.link.isConnected) return;
    this.#served.tick();
    if (this.link.isOurs || nowMs - this.#listedAtMs < LIST_MS) return;
    this.#listedAtMs = nowMs;
    this.link.trySend('tool:list', {});
  }

  close(reason: string): void {
    this.#releaseOffer?.();
    this.link.close(reason);
    this.peer.close(reason);
    this.#served.close(reason);
  }

  #dispatch(body: Exclude<VoleBody, { type: 'ping' }>, socket: VoleSocket | undefined): void {
    const { host } = this.#parts;
    const { id } = this.link;
    switch (body.type) {
      case 'pong':
        if (socket !== undefined) this.link.answered(socket, body.payload.echo);
        return;
      case 'discover':
      case 'discover:response':
        this.#announced(body.payload);
        return;
      case 'tool:list':
        this.#served.list({ unasked: false });
        return;
      case 'tool:list:response':
        this.#offered(body.payload);
        return;
      case 'tool:call':
        this.#served.call(body.payload);
        return;
      case 'task:delegate':
        this.#served.delegate(body.payload);
        return;
      case 'memory:search':
        this.#served.search(body.payload);
        return;
      case 'tool:result':
        this.peer.settle({ type: body.type, payload: body.payload });
        return;
      case 'task:result':
        this.peer.settle({ type: body.type, payload: body.payload });
        return;
      case 'memory:results':
        this.peer.settle({ type: body.type, payload: body.payload });
        return;
      case 'memory:sync':
        this.#granted('memory-write', () => host.memoryWritten(id, body.payload));
        return;
      case 'session:sync':
        this.#granted('sessions', () => host.sessionWritten(id, body.payload));
        return;
      case 'chat:message':
        this.#granted('chat', () => host.chatReceived(id, body.payload));
        return;
      case 'leader:heartbeat':
        this.#granted('presence', () => host.leaderSeen(id));
        return;
      case 'leader:claim':
        this.#granted('presence', () => {
          if (host.leaderClaimed(id)) this.link.trySend('leader:ack', { accepted: true });
        });
        return;
      case 'leader:ack':
      case 'task:status':
      case 'sealed:direct': // Opened at the door; one that comes here held nothing.
        return;
    }
  }

  #announced(announcement: Announcement): void {
    if (!this.link.announce(announcement)) {
      throw new SkeinError('It announced a key that is not its own', { code: 'unauthenticated' });
    }
  }

  #granted(grant: 'memory-write' | 'sessions' | 'chat' | 'presence', take: () => void | Promise<void>): void {
    const decision = this.#parts.host.decide(this.link.id, grant);
    if (!decision.allowed) throw new SkeinError(`Not taken: ${decision.reason}`, { code: 'denied' });
    Promise.resolve()
      .then(take)
      .catch((thrown: unknown) => {
        const error = SkeinError.from(thrown);
        if (error.code === 'internal') this.#emit({ type: 'problem', url: undefined, claimed: undefined, error });
        else this.#emit({ type: 'refused', address: this.peer.name, peer: this.link.id, error });
      });
  }

  #offered(list: readonly unknown[]): void {
    this.#offer = list;
    if (this.#releaseOffer !== undefined) return;
    this.#takeOffer();
    this.#releaseOffer = this.#clock.after(OFFER_PAUSE_MS, () => {
      this.#releaseOffer = undefined;
      this.#takeOffer();
    });
  }

  #takeOffer(): void {
    const offer = this.#offer;
    this.#offer = undefined;
    if (offer !== undefined && this.peer.offer(offer)) this.#emit({ type: 'tools-changed', peer: this.peer });
  }

  #joined(): void {
    this.#emit({ type: 'peer-joined', peer: this.peer });
    if (this.link.announced === undefined) this.link.trySend('discover', this.#parts.link.announcement());
    this.#listedAtMs = this.#clock.monotonicMs();
    this.link.trySend('tool:list', {});
    // It may have asked when there was no way back to it.
    this.#served.list({ unasked: true });
  }

  #left(reason: string): void {
    this.peer.left(reason);
    this.#served.left();
    this.#emit({ type: 'peer-left', peer: this.peer, reason });
  }

  #emit(event: VoleEvent): void {
    this.#parts.host.onEvent(event);
  }
}

/** What the message says it is. */
function kindOf(body: ReadBody): VoleType {
  if (body.type === 'unfit') return body.request;
  return body.type === 'unfit-answer' ? body.answer : body.type;
}
