import { untilAborted } from '@skein/agent';
import type { PeerMessage } from '@skein/gateway';
import { type AuditLog, type Clock, type Mesh, type Router, TokenBucket, type TrustRecord, type TrustStore } from '@skein/mesh';
import { CHAT_CHARS_MAX, chatSend, nearestNames, type PeerId, SkeinError, shortPeerId } from '@skein/protocol';
import type { HostEvent } from '../../events.ts';
import { Sparingly } from '../../sparingly.ts';
import { ChatOutbox, type TalkingVole } from './chat-outbox.ts';
import type { ChatStore, KeptMessage } from './chat-store.ts';

/** Messages of one peer that are taken in a second. */
const MESSAGES_PER_SECOND = 10;
/** Messages that have an audit record of their own. */
const RECORDED_PER_MINUTE = 120;
/** How long somebody who sends waits to be told that the peer has it. */
const TELL_MS = 3_000;
const PRUNE_MS = 6 * 3_600_000;

export interface PeerChatParts {
  readonly name: string;
  readonly store: ChatStore;
  readonly router: Router;
  readonly mesh: Pick<Mesh, 'peers'>;
  /** The peers that are met by VoleNet's protocol now. */
  readonly volePeers: () => readonly TalkingVole[];
  readonly trust: Pick<TrustStore, 'get' | 'list' | 'current' | 'onChange' | 'renamed'>;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly clock: Clock;
  readonly randomId: () => string;
  readonly onEvent: (event: HostEvent) => void;
  /** Told of what fails with nobody there to be told. */
  readonly onError: (error: SkeinError) => void;
}

/**
 * Short messages between the people at this node and those at its peers. What comes is text from outside, for people alone:
 * no model is shown it, and nothing is done because of it.
 */
export class PeerChat implements AsyncDisposable {
  readonly #parts: PeerChatParts;
  readonly #outbox: ChatOutbox;
  /** No more than there are trusted keys. */
  readonly #buckets = new Map<PeerId, TokenBucket>();
  readonly #recorded: Sparingly;
  #releaseTrust: () => void = () => {};
  #releasePrune: () => void = () => {};

  constructor(parts: PeerChatParts) {
    const { store, mesh, clock, name, volePeers, router } = parts;
    this.#parts = parts;
    this.#recorded = new Sparingly({ maxPerMinute: RECORDED_PER_MINUTE, monotonicMs: () => clock.monotonicMs() });
    this.#outbox = new ChatOutbox({
      store,
      peerOf: (id) => mesh.peers.get(id),
      volePeerOf: (id) => volePeers().find((peer) => peer.id === id),
      ownName: name,
      clock,
      onError: parts.onError,
    });
    router.serve(chatSend, async (message, { peer }) => {
      await this.#take({ ...message, peer: peer.id });
      return {};
    });
  }

  /** Looks after what is kept, as whom is trusted changes and time goes by. */
  async start(): Promise<void> {
    const { trust, store } = this.#parts;
    this.#releaseTrust = trust.onChange(({ type, id }) => {
      if (type === 'revoked' || type === 'removed') this.#report(this.#untrusted(id));
    });
    await store.prune();
    for (const { identity, successor } of trust.list()) if (successor !== undefined) await this.#untrusted(identity.id);
    for (const id of store.waitingPeers()) if (!this.#isTrusted(id)) await this.#untrusted(id);
    this.#pruneLater();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#releaseTrust();
    this.#releasePrune();
    await this.#outbox.close();
  }

  /** A peer is here, by whatever protocol: what waits for it goes out. */
  joined(id: PeerId): void {
    void this.#outbox.wake(id);
  }

  /** Takes a message of a peer whose protocol gives it no name, cut where it is too long. @throws SkeinError `busy`, and what `Database.write` raises. */
  received(peer: PeerId, text: string): Promise<void> {
    return this.#take({ peer, id: this.#parts.randomId(), text: shortened(text) });
  }

  /**
   * Keeps a message for a peer, named by its id or name, and sends it now or when that is back. Resolves once it is on the
   * disk here and, where the peer is connected, it has been tried.
   * @throws SkeinError `not-found`, `conflict` for a name that several have, `invalid`, `busy`; `canceled`, by when it may be kept.
   */
  async send(
    { peer: who, text }: { readonly peer: string; readonly text: string },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<PeerMessage> {
    const { store, randomId, clock } = this.#parts;
    signal.throwIfAborted();
    const peer = this.#named(who, this.#trusted());
    if (text.trim() === '' || text.length > CHAT_CHARS_MAX) {
      throw new SkeinError(`A message has 1 to ${CHAT_CHARS_MAX} characters; this one has ${text.length}`, { code: 'invalid' });
    }
    const kept = await store.enqueue({ peer, id: randomId(), text });
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const release = clock.after(TELL_MS, resolve);
    try {
      await untilAborted(Promise.race([this.#outbox.wake(peer), late]), signal);
    } finally {
      release();
    }
    return this.#shown(store.get(kept.num) ?? kept);
  }

  /**
   * The latest messages, with one peer, named by its id or name, or with all, the oldest first.
   * @throws SkeinError `not-found`, `conflict`.
   */
  list(who?: string): readonly PeerMessage[] {
    const { store, trust } = this.#parts;
    if (who === undefined) return store.list().map((message) => this.#shown(message));
    const trusted = this.#trusted();
    const isNamed = trusted.some((record) => this.#namesOf(record).includes(who));
    // What was said with a key that is not trusted any more can still be read.
    const peer = this.#named(who, isNamed ? trusted : trust.list().filter(({ successor }) => successor === undefined));
    return store.list(peer).map((message) => this.#shown(message));
  }

  async #take(message: { readonly peer: PeerId; readonly id: string; readonly text: string }): Promise<void> {
    const { store, audit, onEvent } = this.#parts;
    const { peer: id, text } = message;
    this.#assertPace(id);
    if (!(await store.receive(message))) return;
    const name = this.#nameOf(id);
    const left = this.#recorded.admit();
    if (left !== undefined) audit.append({ event: 'chat', peer: id, name, ...(left === 0 ? {} : { count: left }) });
    onEvent({ type: 'chat-message', id, name, text: text.toWellFormed() });
  }

  #assertPace(peer: PeerId): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const bucket = this.#buckets.get(peer) ?? new TokenBucket(MESSAGES_PER_SECOND, nowMs);
    this.#buckets.set(peer, bucket);
    const retryAfterMs = bucket.take(1, nowMs);
    if (retryAfterMs === 0) return;
    throw new SkeinError(`More than ${MESSAGES_PER_SECOND} messages a second`, { code: 'busy', retryAfterMs });
  }

  /** What waits for a key that is not trusted any more goes to the one that took its place, or nowhere. */
  async #untrusted(id: PeerId): Promise<void> {
    const { store, trust } = this.#parts;
    const current = trust.current(id);
    if (current !== id) {
      await store.move(id, current);
      await this.#outbox.wake(current);
    } else if (!this.#isTrusted(id)) await store.refuseWaiting(id, 'the peer is not trusted any more');
  }

  #isTrusted(id: PeerId): boolean {
    const record = this.#parts.trust.get(id);
    return record !== undefined && !record.revoked;
  }

  #trusted(): readonly TrustRecord[] {
    return this.#parts.trust.list().filter(({ revoked }) => !revoked);
  }

  /** Both what it is called here and what the trust file says: people see either. */
  #namesOf({ identity: { id }, name }: TrustRecord): readonly string[] {
    return [id, name, this.#parts.trust.renamed.get(id) ?? name];
  }

  #named(who: string, records: readonly TrustRecord[]): PeerId {
    const [only, ...others] = records.filter((record) => this.#namesOf(record).includes(who));
    if (only !== undefined && others.length === 0) return only.identity.id;
    if (only !== undefined) {
      const ids = [only, ...others].map(({ identity }) => identity.id);
      throw new SkeinError(`"${who}" is what several peers are called: ${ids.join(', ')}. Name one by its id`, {
        code: 'conflict',
      });
    }
    const [near] = nearestNames(
      who,
      records.map(({ name }) => name),
    );
    throw new SkeinError(
      `There is no peer "${who.slice(0, 80)}"${near === undefined ? '' : `; the nearest is "${near}"`}. See: skein net peers`,
      { code: 'not-found' },
    );
  }

  #shown({ id, peer, direction, atMs, state, text, problem }: KeptMessage): PeerMessage {
    return { id, peer: { id: peer, name: this.#nameOf(peer) }, direction, atMs, state, text, problem };
  }

  #nameOf(id: PeerId): string {
    return this.#parts.trust.get(id)?.name ?? shortPeerId(id);
  }

  #pruneLater(): void {
    this.#releasePrune = this.#parts.clock.after(PRUNE_MS, () => {
      this.#report(this.#parts.store.prune());
      this.#pruneLater();
    });
  }

  #report(work: Promise<void>): void {
    work.catch((thrown: unknown) => this.#parts.onError(SkeinError.from(thrown)));
  }
}

/** The text as it can be kept; one that is too long ends with how much of it is not there. */
function shortened(text: string): string {
  if (text.length <= CHAT_CHARS_MAX) return text.toWellFormed();
  // No number of characters that were cut has more digits than that of all of them.
  const kept = CHAT_CHARS_MAX - markOf(text.length).length;
  return `${text.slice(0, kept).toWellFormed()}${markOf(text.length - kept)}`;
}

function markOf(chars: number): string {
  return ` … [cut: ${chars} characters]`;
}
