import type { VolePeer } from '@skein/dialects';
import type { Clock, Peer } from '@skein/mesh';
import { chatSend, type ErrorCode, type PeerId, SkeinError } from '@skein/protocol';
import type { ChatStore, KeptMessage } from './chat-store.ts';

/** How long a peer may take to say that it has a message. */
const ANSWER_MS = 10_000;
/** When a message that did not get through to a connected peer is tried again, where that peer does not say. */
const AGAIN_MS = 10_000;
const AGAIN_MAX_MS = 60_000;
/** Characters of why a peer refused. */
const PROBLEM_CHARS_MAX = 500;
/** What the same message would be answered again. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['denied', 'invalid', 'not-found', 'conflict', 'too-large', 'unsupported']);

/** A VoleNet peer, as far as it can be told something. */
export type TalkingVole = Pick<VolePeer, 'id' | 'sendChat'>;

export interface ChatOutboxParts {
  readonly store: ChatStore;
  /** The session with a peer now. */
  readonly peerOf: (id: PeerId) => Peer | undefined;
  /** The peer, where it is met by VoleNet's protocol now. */
  readonly volePeerOf: (id: PeerId) => TalkingVole | undefined;
  /** What VoleNet peers are told this node is called. */
  readonly ownName: string;
  readonly clock: Clock;
  /** Told when what is kept cannot be read or changed. */
  readonly onError: (error: SkeinError) => void;
}

/** What came of trying to hand one message over: on to the next, or none now, and when again if not when the peer comes. */
type Attempt = 'next' | { readonly againInMs: number | undefined };

/** Hands what waits to its peers: to each in the order it was written, one message at a time. */
export class ChatOutbox {
  readonly #parts: ChatOutboxParts;
  readonly #closing = new AbortController();
  /** One for each peer that is written to now. */
  readonly #running = new Map<PeerId, Promise<void>>();
  /** Takes back a further try; no more than there are trusted keys. */
  readonly #again = new Map<PeerId, () => void>();

  constructor(parts: ChatOutboxParts) {
    this.#parts = parts;
  }

  /** Hands over what waits for a peer; resolves when nothing is left or it takes nothing now. */
  wake(peer: PeerId): Promise<void> {
    const running = this.#running.get(peer);
    if (running !== undefined) return running;
    // In a later step than this, so that it is known to run before it can have ended.
    const run = Promise.resolve().then(() => this.#run(peer));
    this.#running.set(peer, run);
    return run;
  }

  async close(): Promise<void> {
    this.#closing.abort(new SkeinError('This node is stopping', { code: 'canceled' }));
    for (const release of this.#again.values()) release();
    this.#again.clear();
    await Promise.all(this.#running.values());
  }

  async #run(peer: PeerId): Promise<void> {
    this.#again.get(peer)?.();
    this.#again.delete(peer);
    let again: number | undefined;
    try {
      again = await this.#handOver(peer);
    } catch (thrown) {
      this.#parts.onError(SkeinError.from(thrown));
      again = AGAIN_MS;
    }
    this.#running.delete(peer);
    if (again === undefined || this.#closing.signal.aborted) return;
    const wake = () => {
      this.#again.delete(peer);
      void this.wake(peer);
    };
    this.#again.set(peer, this.#parts.clock.after(again, wake));
  }

  /** When to try again, if anything is left and not only for the peer to come. */
  async #handOver(peer: PeerId): Promise<number | undefined> {
    while (!this.#closing.signal.aborted) {
      const message = this.#parts.store.next(peer);
      if (message === undefined) return undefined;
      const attempt = await this.#try(message);
      if (attempt !== 'next') return attempt.againInMs;
    }
    return undefined;
  }

  #try(message: KeptMessage): Promise<Attempt> | Attempt {
    const { peerOf, volePeerOf } = this.#parts;
    const peer = peerOf(message.peer);
    if (peer !== undefined) return this.#tell(peer, message);
    const vole = volePeerOf(message.peer);
    return vole === undefined ? { againInMs: undefined } : this.#tellVole(vole, message);
  }

  /** A peer that has it already says so: when the answer was lost, or this node ended before it had noted it. */
  async #tell(peer: Peer, { num, id, text }: KeptMessage): Promise<Attempt> {
    const { store, peerOf } = this.#parts;
    const { signal } = this.#closing;
    try {
      await peer.call(chatSend, { id, text }, { signal, timeoutMs: ANSWER_MS, priority: 'interactive' });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (signal.aborted) return { againInMs: undefined };
      if (FINAL.has(error.code)) return this.#refused(num, error);
      const now = peerOf(peer.id);
      // Another session has taken the place of the one that ended.
      return now !== undefined && now !== peer ? 'next' : { againInMs: againIn(error) };
    }
    await store.settle(num, 'sent');
    return 'next';
  }

  /**
   * VoleNet has no answer and no key by which a repeated message would be known: it is noted as sent before it leaves, so
   * that no crash in between makes two of it.
   */
  async #tellVole(vole: TalkingVole, { num, text }: KeptMessage): Promise<Attempt> {
    const { store, ownName } = this.#parts;
    await store.settle(num, 'sent');
    try {
      await vole.sendChat(text, ownName);
      return 'next';
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (FINAL.has(error.code)) return this.#refused(num, error);
      // Of the others nobody can say whether it went.
      if (error.code !== 'unavailable' && error.code !== 'busy') return 'next';
      await store.settle(num, 'waiting');
      return { againInMs: againIn(error) };
    }
  }

  async #refused(num: number, error: SkeinError): Promise<'next'> {
    await this.#parts.store.settle(num, 'refused', error.message.slice(0, PROBLEM_CHARS_MAX).toWellFormed());
    return 'next';
  }
}

function againIn({ retryAfterMs = AGAIN_MS }: SkeinError): number {
  return Math.min(retryAfterMs, AGAIN_MAX_MS);
}
