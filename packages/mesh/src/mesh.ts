import {
  type Admission,
  CookieJar,
  createX25519,
  type Established,
  HANDSHAKE_MS,
  type HandshakeParts,
  type Hello,
  type Identity,
  InitiatorHandshake,
  type PeerId,
  type PublicIdentity,
  ResponderHandshake,
  SkeinError,
} from '@skein/protocol';
import type { Clock } from './clock.ts';
import { keepConnected, untilAborted } from './dialer.ts';
import type { IncomingLimits } from './peer/incoming-calls.ts';
import { Peer } from './peer/peer.ts';
import { runHandshake } from './peer/run-handshake.ts';
import type { Router } from './router.ts';
import { StrangerBudget } from './stranger-budget.ts';
import type { Connection, Transport } from './transport/transport.ts';

/** Time one try to reach an address may take, before the handshake. */
const DIAL_TIMEOUT_MS = 10_000;
/** How long a session goes on after another took its place: the other side may not have that one yet. */
const RETIRE_MS = 1_000;
/** And at most, for calls that are under way on it. */
const RETIRE_MAX_MS = 60_000;
/** Sessions with proven peers at once. */
const PEERS_MAX = 10_000;

/** What happens between nodes. `name` is the peer's label. */
export type MeshEvent =
  | { readonly type: 'peer-joined'; readonly peer: Peer }
  | { readonly type: 'peer-left'; readonly peer: Peer; readonly reason: string }
  /** An address could not be reached, or a stranger was refused. */
  | { readonly type: 'dial-failed'; readonly url: string; readonly error: SkeinError; readonly retryInMs: number }
  | { readonly type: 'refused'; readonly address: string; readonly error: SkeinError };

/** Who may have a session: the one place that decides, asked with a proven key. */
export interface Gatekeeper {
  /** One who dialled this node. `binding` is what an invitation's proof must be over. */
  admitCaller(peer: PublicIdentity, hello: Hello, binding: Buffer): Admission;
  /** One who answered at `url`. */
  admitAnswer(peer: PublicIdentity, hello: Hello, url: string): Admission;
  /** Whose key `url` led to before; undefined at first contact. */
  expectedAt(url: string): PeerId | undefined;
  /**
   * Another key than the expected one answered: whether it may prove that it took that one's place. Only for keys that
   * have no session of their own to lose. Absent, none may.
   */
  mayBeSuccessor?(id: PeerId): boolean;
}

export interface MeshParts {
  readonly identity: Identity;
  readonly name: string;
  /** The rotations that led to this key, for peers that know it by a former one. */
  readonly rotations?: readonly string[];
  /** 16 random bytes in hex that name this run of the process. */
  readonly boot: string;
  readonly gatekeeper: Gatekeeper;
  readonly transports: readonly Transport[];
  readonly router: Router;
  readonly limits: IncomingLimits;
  /** How long one who dials this node may take to prove who it is; past `HANDSHAKE_MS` it counts for nothing. */
  readonly authTimeoutMs?: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onEvent: (event: MeshEvent) => void;
  /** Told of errors that are this node's own fault; the peer sees only `internal`. */
  readonly onInternalError: (error: SkeinError, method: string) => void;
}

/** This node among its peers: one session with each, whoever dialled. */
export class Mesh {
  readonly #parts: MeshParts;
  readonly #staticKey = createX25519();
  readonly #cookies: CookieJar;
  readonly #strangers: StrangerBudget;
  readonly #peers = new Map<PeerId, Peer>();
  /** One a peer at most: a session in whose place there is another, for the calls that still go by it. */
  readonly #retiring = new Map<PeerId, Peer>();
  readonly #closing = new AbortController();
  readonly #connections = new Set<Connection>();

  constructor(parts: MeshParts) {
    this.#parts = parts;
    this.#cookies = new CookieJar({ monotonicMs: () => parts.clock.monotonicMs() });
    this.#strangers = new StrangerBudget(parts.clock);
  }

  /** The peers with a session now. */
  get peers(): ReadonlyMap<PeerId, Peer> {
    return this.#peers;
  }

  /** Takes a connection somebody else opened. */
  accept(connection: Connection): void {
    const { clock, gatekeeper, onEvent, authTimeoutMs = HANDSHAKE_MS } = this.#parts;
    let leave: () => void;
    try {
      if (this.#closing.signal.aborted) throw new SkeinError('This node is stopping', { code: 'unavailable' });
      if (this.#peers.size >= PEERS_MAX) throw new SkeinError(`${PEERS_MAX} peers are connected already`, { code: 'busy' });
      leave = this.#strangers.enter(connection.remoteAddress);
    } catch (error) {
      connection.close(SkeinError.from(error).message);
      return;
    }
    const handshake = new ResponderHandshake({
      ...this.#handshakeParts((peer, hello, binding) => gatekeeper.admitCaller(peer, hello, binding)),
      remoteAddress: connection.remoteAddress,
      cookies: this.#cookies,
      cookieRequired: () => this.#strangers.cookieRequired(),
    });
    this.#connections.add(connection);
    const release = clock.after(authTimeoutMs, () => connection.close(`nobody was proven within ${authTimeoutMs} ms`));
    runHandshake({
      connection,
      clock,
      receive: (message) => handshake.receive(message),
      onEstablished: (established) => {
        leave();
        release();
        this.#connections.delete(connection);
        this.#welcome(connection, established);
      },
      onFailed: (error) => {
        leave();
        release();
        this.#connections.delete(connection);
        onEvent({ type: 'refused', address: connection.remoteAddress, error });
      },
    });
  }

  /**
   * One session with whoever answers at this URL.
   * @throws SkeinError `unavailable`, `denied`, `unauthenticated`, `deadline-exceeded` or `canceled`.
   */
  async dial(
    url: string,
    options: {
      readonly signal: AbortSignal;
      readonly invite?: { readonly id: string; readonly secret: Uint8Array };
      readonly expected?: PeerId;
    },
  ): Promise<Peer> {
    const { clock, gatekeeper } = this.#parts;
    const handshake = new InitiatorHandshake({
      ...this.#handshakeParts((peer, hello) => gatekeeper.admitAnswer(peer, hello, url)),
      expected: options.expected ?? gatekeeper.expectedAt(url),
      ...(options.invite === undefined
        ? { mayBeSuccessor: (id: PeerId) => gatekeeper.mayBeSuccessor?.(id) === true }
        : { invite: options.invite }),
    });
    const connection = await this.#open(url, options.signal);
    return new Promise((resolve, reject) => {
      const abort = () => connection.close('the dialer stopped');
      options.signal.addEventListener('abort', abort, { once: true });
      const done = () => options.signal.removeEventListener('abort', abort);
      runHandshake({
        connection,
        clock,
        first: handshake.start(),
        receive: (message) => handshake.receive(message),
        onEstablished: (established) => {
          done();
          resolve(this.#welcome(connection, established));
        },
        onFailed: (error) => {
          done();
          reject(new SkeinError(`${url}: ${error.message}`, { code: error.code, cause: error }));
        },
      });
    });
  }

  /** Keeps a session with whoever answers at this URL, until the signal fires or the mesh closes. */
  keep(url: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { clock, random, onEvent, gatekeeper } = this.#parts;
    const both = new AbortController();
    const stop = () => both.abort();
    signal.addEventListener('abort', stop, { once: true });
    this.#closing.signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted || this.#closing.signal.aborted) stop();
    return keepConnected(
      {
        clock,
        random,
        onProblem: (error, retryInMs) => onEvent({ type: 'dial-failed', url, error, retryInMs }),
        connect: async (options) => {
          const expected = gatekeeper.expectedAt(url);
          const known = expected === undefined ? undefined : this.#peers.get(expected);
          const peer = known ?? (await this.dial(url, options));
          return this.#ended(peer.id, options.signal);
        },
      },
      { signal: both.signal },
    ).finally(() => {
      signal.removeEventListener('abort', stop);
      this.#closing.signal.removeEventListener('abort', stop);
    });
  }

  /** Ends the session with a peer, if there is one. */
  drop(id: PeerId, reason: string): void {
    this.#retiring.get(id)?.close(reason);
    this.#peers.get(id)?.close(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    for (const connection of this.#connections) connection.close('this node is stopping');
    const ends = [...this.#peers.keys()].map((id) => this.#ended(id, NEVER));
    for (const peer of [...this.#retiring.values(), ...this.#peers.values()]) peer.close('this node is stopping');
    await Promise.all(ends);
  }

  readonly #waiters = new Map<PeerId, Set<(reason: string) => void>>();

  /** Resolves with the reason when there is no session with this peer any more. */
  #ended(id: PeerId, signal: AbortSignal): Promise<string> {
    if (!this.#peers.has(id)) return Promise.resolve('the session was replaced');
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters);
    const { promise, resolve } = Promise.withResolvers<string>();
    waiters.add(resolve);
    return untilAborted(promise, signal).finally(() => waiters.delete(resolve));
  }

  async #open(url: string, signal: AbortSignal): Promise<Connection> {
    const { clock, transports } = this.#parts;
    const scheme = url.slice(0, url.indexOf(':'));
    const transport = transports.find(({ schemes }) => schemes.includes(scheme));
    if (transport === undefined) {
      const known = transports.flatMap(({ schemes }) => schemes).join(', ');
      throw new SkeinError(`"${url}" cannot be dialled: its scheme is not one of ${known}`, { code: 'invalid' });
    }
    const limit = new AbortController();
    const stop = () => limit.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const release = clock.after(DIAL_TIMEOUT_MS, () => {
      limit.abort(
        new SkeinError(`Nobody answered at ${url} within ${DIAL_TIMEOUT_MS / 1000} s`, { code: 'deadline-exceeded' }),
      );
    });
    try {
      return await transport.dial(url, { signal: limit.signal });
    } finally {
      release();
      signal.removeEventListener('abort', stop);
    }
  }

  #handshakeParts(admit: HandshakeParts['admit']): HandshakeParts {
    const { identity, name, boot, clock, rotations = [] } = this.#parts;
    const shown = rotations.length === 0 ? {} : { rotations: [...rotations] };
    return { identity, staticKey: this.#staticKey, hello: { name, boot, features: [], ...shown }, clock, admit };
  }

  /** The peer of a new session, or the one kept instead when there were two. */
  #welcome(connection: Connection, established: Established): Peer {
    const { identity, clock, router, limits, onEvent, onInternalError } = this.#parts;
    const peer = new Peer({
      connection,
      established,
      identity,
      clock,
      router,
      limits,
      onInternalError,
      onClosed: (closed, reason) => this.#left(closed, reason),
    });
    const existing = this.#peers.get(peer.id);
    if (existing !== undefined && this.#isBetter(existing, peer)) {
      peer.open();
      this.#retire(peer);
      return existing;
    }
    this.#peers.set(peer.id, peer);
    peer.open();
    if (existing !== undefined && this.#isOfBothDialling(existing, peer)) this.#retire(existing);
    else existing?.close('a newer session took its place');
    onEvent({ type: 'peer-joined', peer });
    return peer;
  }

  /**
   * When both sides dial at once there are two sessions, and both must keep the same one: that which the lower id
   * opened. A restarted peer's old session is dead, whoever opened it.
   */
  #isBetter(existing: Peer, added: Peer): boolean {
    return this.#isOfBothDialling(existing, added) && existing.initiator === this.#parts.identity.id < existing.id;
  }

  #isOfBothDialling(existing: Peer, added: Peer): boolean {
    return existing.isOpen && existing.boot === added.boot && existing.initiator !== added.initiator;
  }

  /** Ends a session that is not the one to keep, once nothing is under way on it: either side may have begun to use it. */
  #retire(peer: Peer): void {
    const { clock } = this.#parts;
    const reason = 'another session took its place';
    this.#retiring.get(peer.id)?.close(reason);
    this.#retiring.set(peer.id, peer);
    const sinceMs = clock.monotonicMs();
    const look = () => {
      if (peer.load === 0 || clock.monotonicMs() - sinceMs >= RETIRE_MAX_MS) peer.close(reason);
      else clock.after(RETIRE_MS, look);
    };
    clock.after(RETIRE_MS, look);
  }

  #left(peer: Peer, reason: string): void {
    if (this.#retiring.get(peer.id) === peer) this.#retiring.delete(peer.id);
    if (this.#peers.get(peer.id) !== peer) return; // Replaced: the peer is still here.
    this.#peers.delete(peer.id);
    this.#parts.onEvent({ type: 'peer-left', peer, reason });
    for (const resolve of this.#waiters.get(peer.id) ?? []) resolve(reason);
    this.#waiters.delete(peer.id);
  }
}

const NEVER = new AbortController().signal;
