import { type Clock, keepConnected, untilAborted } from '@skein/mesh';
import { abortReason, type PeerId, SkeinError } from '@skein/protocol';
import WebSocket from 'ws';
import type { HttpClient } from './http-client.ts';
import { httpBase, postMessage } from './http-posts.ts';
import type { KnownPeer } from './known-peer.ts';
import { VOLE_DISCOVER_MS, VOLE_DISCOVERY_MS, VOLE_MESSAGE_BYTES_MAX, VOLE_POST_MS } from './limits.ts';
import { askVoleInfo } from './vole-info.ts';

/** A configured address where a VoleNet node is to be found. */
export interface VoleTarget {
  /** `http:`, `https:`, `ws:` or `wss:`; a path is kept. */
  readonly url: string;
  /** Whose key must answer there; without it, any that is trusted. */
  readonly key?: PeerId;
}

/** Announcements that may fail before a peer reached over HTTP counts as gone. */
const MISSES_MAX = 3;
/** A node that does not trust this one takes its socket and closes it. */
const WANTED_AFTER_MS = 10_000;

export interface DiallingParts {
  readonly target: VoleTarget;
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly ca: string | undefined;
  /** A signed announcement, for whoever answers. */
  readonly announce: () => string;
  /** Verifies the answer to it and gives who it is from. @throws SkeinError. */
  readonly receive: (answer: Buffer) => KnownPeer;
  /** Who has this key, if it is trusted. */
  readonly peerOf: (key: PeerId) => KnownPeer | undefined;
  /** Takes a socket dialled to this peer; resolves with the reason when it is closed. */
  readonly attach: (
    socket: WebSocket,
    peer: KnownPeer,
    options: { readonly address: string; readonly signal: AbortSignal },
  ) => Promise<string>;
  /** `claimed`: whose key the one that refused this node says to have; not proven. */
  readonly onProblem: (error: SkeinError, claimed: PeerId | undefined) => void;
}

/** Keeps one configured peer connected until the signal fires: announces this node, dials, and falls back to HTTP. */
export function keepDialling(parts: DiallingParts, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  let known = parts.target.key;
  let claimed: PeerId | undefined;
  const connect = async (): Promise<string> => {
    claimed = undefined;
    const met = known === undefined ? undefined : parts.peerOf(known);
    // It came by itself: there is nothing to say to it that it does not know.
    if (met?.link.isConnected) return untilAborted(met.link.gone, signal);
    const peer = await discover(parts, signal).catch(async (error: unknown) => {
      if (error instanceof SkeinError && error.code === 'unauthenticated') {
        claimed = (await askVoleInfo(parts.target.url, { ...parts, signal }))?.identity.id;
      }
      throw error;
    });
    known = peer.link.id;
    if (peer.link.transport === 'websocket') return untilAborted(peer.link.gone, signal);
    const socket = await openSocket(parts, signal).catch((error: unknown) => {
      if (signal.aborted) throw error;
      return undefined;
    });
    if (socket === undefined) return stayOverHttp(parts, peer, signal);
    return parts.attach(socket, peer, { address: httpBase(parts.target.url), signal });
  };
  const onProblem = (error: SkeinError) => parts.onProblem(error, claimed);
  const { clock, random } = parts;
  return keepConnected({ connect, onProblem, clock, random, wantedAfterMs: WANTED_AFTER_MS }, { signal });
}

async function discover(parts: DiallingParts, signal: AbortSignal): Promise<KnownPeer> {
  const { http, target } = parts;
  const base = httpBase(target.url);
  const health = await http.ask(`${base}/health`, { method: 'GET', timeoutMs: VOLE_POST_MS, signal });
  if (health.status < 200 || health.status > 299) {
    throw new SkeinError(`${base}/health answered ${health.status}: no VoleNet node is there`, { code: 'unavailable' });
  }
  const answer = await postMessage(http, base, { text: parts.announce(), timeoutMs: VOLE_DISCOVER_MS, signal });
  const peer = parts.receive(answer);
  if (target.key === undefined || target.key === peer.link.id) return peer;
  throw new SkeinError(`Another key than the configured one answers at ${base}; nothing is sent there`, {
    code: 'unauthenticated',
  });
}

/** A socket to the configured address, never to one that was announced. */
function openSocket({ target, ca, clock }: DiallingParts, signal: AbortSignal): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) throw abortReason(signal);
    const socket = new WebSocket(httpBase(target.url).replace(/^http/, 'ws'), {
      perMessageDeflate: false,
      // One message, then whatever else waits: checking signatures takes long, and one peer must not hold up the others.
      allowSynchronousEvents: false,
      maxPayload: VOLE_MESSAGE_BYTES_MAX,
      followRedirects: false,
      ...(ca === undefined ? {} : { ca }),
    });
    const abort = () => fail(abortReason(signal));
    const late = () => fail(new SkeinError('The WebSocket was not opened in time', { code: 'deadline-exceeded' }));
    const releaseTimer = clock.after(VOLE_DISCOVER_MS, late);
    const release = () => {
      releaseTimer();
      signal.removeEventListener('abort', abort);
    };
    const fail = (error: SkeinError) => {
      release();
      reject(error);
      socket.terminate();
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.on('error', (cause) => fail(new SkeinError(cause.message, { code: 'unavailable', cause })));
    socket.once('open', () => {
      release();
      // Nothing is read before somebody listens.
      socket.pause();
      resolve(socket);
    });
  });
}

/** No WebSocket could be had: asks anew every quarter of a minute, tries for a socket each time, and says when it is gone. */
async function stayOverHttp(parts: DiallingParts, peer: KnownPeer, signal: AbortSignal): Promise<string> {
  const base = httpBase(parts.target.url);
  peer.link.reachableOverHttp(base);
  let problem = 'the connection ended';
  try {
    for (let misses = 0; misses < MISSES_MAX; ) {
      await pause(parts, signal);
      if (peer.link.transport === 'websocket') return await untilAborted(peer.link.gone, signal);
      try {
        if ((await discover(parts, signal)) !== peer) return 'another key answers there now';
        misses = 0;
        // A socket that the peer opened meanwhile, and that ended again, took the place of this way.
        peer.link.reachableOverHttp(base);
      } catch (error) {
        if (signal.aborted) throw error;
        problem = SkeinError.from(error).message;
        misses += 1;
        continue;
      }
      const socket = await openSocket(parts, signal).catch(() => undefined);
      if (socket !== undefined) return await parts.attach(socket, peer, { address: base, signal });
    }
    return problem;
  } finally {
    peer.link.unreachableOverHttp(problem);
  }
}

/** Between half and one and a half of the usual time, so that nodes that started together do not stay together. */
function pause({ clock, random }: DiallingParts, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      release();
      reject(abortReason(signal));
    };
    const release = clock.after(VOLE_DISCOVERY_MS * (0.5 + random()), () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    signal.addEventListener('abort', abort, { once: true });
  });
}
