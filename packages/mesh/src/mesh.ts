import {
  type Admission,
  abortReason,
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
import { keepConnected } from './dialer.ts';
import type { IncomingLimits } from './peer/incoming-calls.ts';
import { Peer } from './peer/peer.ts';
import { PeerUsages } from './peer/peer-usage.ts';
import { runHandshake } from './peer/run-handshake.ts';
import { Sessions } from './peer/sessions.ts';
import type { Router } from './router.ts';
import { StrangerBudget } from './stranger-budget.ts';
import type { Connection, Transport } from './transport/transport.ts';

/** Time one try to reach an address may take, before the handshake. */
const DIAL_TIMEOUT_MS = 10_000;
/** Sessions with proven peers at once. */
const PEERS_MAX = 10_000;

/** What happens between nodes. `name` is the peer's label. */
export type MeshEvent =
  | { readonly type: 'peer-joined'; readonly peer: Peer }
  | { readonly type: 'peer-left'; readonly peer: Peer; readonly reason: string }
  /** An address could not be reached, or nobody was wanted there. */
  | { readonly type: 'dial-failed'; readonly url: string; readonly error: SkeinError; readonly retryInMs: number }
  /** One who dialled this node got no session. */
  | { readonly type: 'refused'; readonly address: string; readonly error: SkeinError }
  /** A trusted one who dialled this node did not want it. */
  | { readonly type: 'declined'; readonly peer: Peer; readonly error: SkeinError };

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
  /** What a key is called here; absent or undefined, what it calls itself. */
  nameOf?(id: PeerId): string | undefined;
  /** The root a key is known to have; absent, none has. */
  rootOf?(id: PeerId): PublicIdentity | undefined;
  /** Such a key did not prove it: what its hello shows is told. */
  notSuccessor?(peer: PublicIdentity, hello: Hello): void;
}

export interface MeshParts {
  readonly identity: Identity;
  readonly name: string;
  /** The rotations that led to this key, for peers that know it by a former one. */
  readonly rotations?: readonly string[];
  /** The statements of roots that go with them. */
  readonly roots?: readonly string[];
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

export interface DialOptions {
  readonly signal: AbortSignal;
  readonly invite?: { readonly id: string; readonly secret: Uint8Array };
  /** Whose key must answer; absent, the one the gatekeeper expects there. */
  readonly expected?: PeerId;
}

/** This node among its peers: one session with each, whoever dialled. */
export class Mesh {
  readonly #parts: MeshParts;
  readonly #staticKey = createX25519();
  readonly #cookies: CookieJar;
  readonly #strangers: StrangerBudget;
  readonly #usages: PeerUsages;
  readonly #sessions: Sessions;
  readonly #closing = new AbortController();
  readonly #connections = new Set<Connection>();

  constructor(parts: MeshParts) {
    this.#parts = parts;
    this.#cookies = new CookieJar({ monotonicMs: () => parts.clock.monotonicMs() });
    this.#strangers = new StrangerBudget(parts.clock);
    const { clock, onEvent } = parts;
    this.#usages = new PeerUsages({ maxMessagesPerSecond: parts.limits.maxMessagesPerSecond, clock });
    this.#sessions = new Sessions({
      self: parts.identity.id,
      clock,
      onJoined: (peer) => onEvent({ type: 'peer-joined', peer }),
      onLeft: (peer, reason) => onEvent({ type: 'peer-left', peer, reason }),
      onNotTakenUp: (peer, error) => onEvent({ type: 'declined', peer, error }),
    });
  }

  /** The peers with a session now. */
  get peers(): ReadonlyMap<PeerId, Peer> {
    return this.#sessions.peers;
  }

  /** Takes a connection somebody else opened. */
  accept(connection: Connection): void {
    const { clock, gatekeeper, onEvent, authTimeoutMs = HANDSHAKE_MS } = this.#parts;
    try {
      if (this.#closing.signal.aborted) throw new SkeinError('This node is stopping', { code: 'unavailable' });
      if (this.peers.size >= PEERS_MAX) throw new SkeinError(`${PEERS_MAX} peers are connected already`, { code: 'busy' });
    } catch (error) {
      connection.close(SkeinError.from(error).message);
      return;
    }
    // Cut: one that is silent would hold a polite close as long as it can, and others come.
    const place = this.#strangers.enter(connection.remoteAddress, (reason) => connection.cut(reason));
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
      receive: (message) => {
        const step = handshake.receive(message);
        if (handshake.isUnderWay) place.advance();
        return step;
      },
      onEstablished: (established) => {
        place.leave();
        release();
        this.#connections.delete(connection);
        this.#sessions.offer(this.#peerOf(connection, established));
      },
      onFailed: (error) => {
        place.leave();
        release();
        this.#connections.delete(connection);
        onEvent({ type: 'refused', address: connection.remoteAddress, error });
      },
    });
  }

  /**
   * One session with whoever answers at this URL. None comes about once the signal has fired or the mesh has closed.
   * @throws SkeinError `unavailable`, `denied`, `unauthenticated`, `deadline-exceeded` or `canceled`.
   */
  async dial(url: string, options: DialOptions): Promise<Peer> {
    const either = this.#orClosing(options.signal);
    try {
      return await this.#dial(url, { ...options, signal: either.signal });
    } finally {
      either.release();
    }
  }

  async #dial(url: string, options: DialOptions): Promise<Peer> {
    const { clock, gatekeeper } = this.#parts;
    const { signal } = options;
    const expected = options.expected ?? gatekeeper.expectedAt(url);
    const handshake = new InitiatorHandshake({
      ...this.#handshakeParts((peer, hello) => gatekeeper.admitAnswer(peer, hello, url)),
      expected,
      expectedRoot: expected === undefined ? undefined : gatekeeper.rootOf?.(expected),
      onNotSuccessor: (peer, hello) => gatekeeper.notSuccessor?.(peer, hello),
      ...(options.invite === undefined
        ? { mayBeSuccessor: (id: PeerId) => gatekeeper.mayBeSuccessor?.(id) === true }
        : { invite: options.invite }),
    });
    const connection = await this.#open(url, signal);
    return new Promise((resolve, reject) => {
      const abort = () => connection.close('the dialer stopped');
      signal.addEventListener('abort', abort, { once: true });
      // It may have fired while the connection was handed over.
      if (signal.aborted) abort();
      const done = () => signal.removeEventListener('abort', abort);
      runHandshake({
        connection,
        clock,
        first: handshake.start(),
        receive: (message) => handshake.receive(message),
        onEstablished: (established) => {
          done();
          resolve(this.#sessions.add(this.#peerOf(connection, established)));
        },
        onFailed: (error) => {
          done();
          reject(signal.aborted ? abortReason(signal) : error);
        },
      });
    });
  }

  /** Keeps a session with whoever answers at this URL, until the signal fires or the mesh closes. */
  keep(url: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { clock, random, onEvent, gatekeeper } = this.#parts;
    const either = this.#orClosing(signal);
    return keepConnected(
      {
        clock,
        random,
        onProblem: (error, retryInMs) => onEvent({ type: 'dial-failed', url, error, retryInMs }),
        connect: async (options) => {
          const expected = gatekeeper.expectedAt(url);
          const known = expected === undefined ? undefined : this.peers.get(expected);
          const peer = known ?? (await this.dial(url, options));
          return this.#sessions.ended(peer.id, options.signal);
        },
      },
      { signal: either.signal },
    ).finally(either.release);
  }

  /** Ends the session with a peer, if there is one. */
  drop(id: PeerId, reason: string): void {
    this.#sessions.drop(id, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SkeinError('This node is stopping', { code: 'canceled' }));
    for (const connection of this.#connections) connection.close('this node is stopping');
    await this.#sessions.closeAll('this node is stopping');
  }

  /** A signal that fires with this one and when the mesh closes, until it is released. */
  #orClosing(signal: AbortSignal): { readonly signal: AbortSignal; readonly release: () => void } {
    const either = new AbortController();
    const both = [signal, this.#closing.signal];
    const stop = () => either.abort(both.find(({ aborted }) => aborted)?.reason);
    for (const one of both) one.addEventListener('abort', stop, { once: true });
    if (both.some(({ aborted }) => aborted)) stop();
    return {
      signal: either.signal,
      release: () => {
        for (const one of both) one.removeEventListener('abort', stop);
      },
    };
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
    const { identity, name, boot, clock, rotations = [], roots = [] } = this.#parts;
    const shown = {
      ...(rotations.length === 0 ? {} : { rotations: [...rotations] }),
      ...(roots.length === 0 ? {} : { roots: [...roots] }),
    };
    return { identity, staticKey: this.#staticKey, hello: { name, boot, features: [], ...shown }, clock, admit };
  }

  #peerOf(connection: Connection, established: Established): Peer {
    const { identity, name, gatekeeper, clock, router, limits, onInternalError } = this.#parts;
    return new Peer({
      connection,
      established,
      identity,
      name,
      nameOf: (id) => gatekeeper.nameOf?.(id),
      clock,
      router,
      limits,
      usages: this.#usages,
      onInternalError,
      onTakenUp: (peer) => this.#sessions.takenUp(peer),
      onClosed: (peer, reason, refused) => this.#sessions.closed(peer, reason, refused),
    });
  }
}
