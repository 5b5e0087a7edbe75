import { SkeinError } from '@skein/protocol';
import { type Clock, systemClock } from '../clock.ts';
import { delay } from '../dialer.ts';
import { dialHttp, type HttpDialled } from './http.ts';
import { HTTP_HEADERS } from './http-wire.ts';
import { SocketCarrier } from './socket-carrier.ts';
import type { Connection, Transport } from './transport.ts';
import { createWebSocketTransport, openWebSocket } from './websocket.ts';

/** How long an upgrade may take before plain HTTP is tried. */
const UPGRADE_MS = 4_000;
/** How long the two sides may then take to agree. One that gives up while the other has just changed loses the connection. */
const JOIN_MS = 60_000;
/** When WebSocket is tried again where it did not get through: after this, then twice as long each time, up to the most. */
const AGAIN_MS = { first: 30_000, most: 30 * 60_000 } as const;
/** Addresses remembered; of more, that which failed longest ago is forgotten. */
const REMEMBERED_MAX = 4_096;
/** What says that nobody is there at all, which HTTP would find no better. */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

export interface WebTransportParts {
  readonly clock?: Clock;
  readonly random?: () => number;
}

/**
 * Dials `ws:`, `wss:`, `http:` and `https:` URLs: by WebSocket where an upgrade gets through, else by plain requests to the
 * same place. A connection over requests goes on over a WebSocket, without a seam, once one gets through.
 */
export function createWebTransport({ clock = systemClock, random = Math.random }: WebTransportParts = {}): Transport {
  const chances = new Chances(clock, random);
  const webSocket = createWebSocketTransport();
  return {
    schemes: ['ws', 'wss', 'http', 'https'],
    async dial(given, { signal }) {
      const url = given.replace(/^http(s?):/, 'ws$1:');
      let problem: SkeinError | undefined;
      if (chances.waitMs(url) <= 0) {
        try {
          const connection = await within(UPGRADE_MS, { clock, signal }, (limit) => webSocket.dial(url, { signal: limit }));
          chances.worked(url);
          return connection;
        } catch (error) {
          problem = SkeinError.from(error);
          if (isUnreachable(problem)) throw problem;
        }
      }
      return dialOverHttp(url, { clock, signal, chances, problem });
    },
  };
}

interface FallbackParts {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly chances: Chances;
  /** Why there is no WebSocket; undefined when none was tried. */
  readonly problem: SkeinError | undefined;
}

async function dialOverHttp(url: string, { clock, signal, chances, problem }: FallbackParts): Promise<Connection> {
  let dialled: HttpDialled;
  try {
    dialled = await dialHttp(url, { signal, clock });
  } catch (error) {
    // Neither gets through: no reason to think that HTTP will do better next time.
    chances.worked(url);
    throw signal.aborted ? error : (problem ?? error);
  }
  if (problem !== undefined) chances.failed(url);
  void climb(url, dialled, { clock, chances });
  return dialled.connection;
}

/** Tries now and then to carry on a connection by a WebSocket, until one does or the connection has ended. */
async function climb(
  url: string,
  { connection, id }: HttpDialled,
  { clock, chances }: { readonly clock: Clock; readonly chances: Chances },
): Promise<void> {
  const { ended } = connection;
  while (!ended.aborted) {
    await delay(clock, chances.waitMs(url), ended);
    if (ended.aborted) return;
    try {
      const headers = { [HTTP_HEADERS.connection]: id };
      const opened = await within(UPGRADE_MS, { clock, signal: ended }, (signal) => openWebSocket(url, { signal, headers }));
      await within(JOIN_MS, { clock, signal: ended }, async (signal) => {
        const carrier = new SocketCarrier({ ...opened, connection, role: 'dialler' });
        signal.addEventListener('abort', () => carrier.stop(), { once: true });
        await carrier.joined;
        connection.carryBy(carrier);
      });
      chances.worked(url);
      return;
    } catch {
      chances.failed(url); // It goes on as it went, which is not worth a word.
    }
  }
}

function isUnreachable({ cause }: SkeinError): boolean {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && UNREACHABLE.has(cause.code);
}

/** Runs something under a signal that fires with the given one, or when this time is over. */
async function within<T>(
  ms: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const stop = () => limit.abort(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const release = clock.after(ms, () =>
    limit.abort(new SkeinError(`No WebSocket came about within ${ms / 1_000} s`, { code: 'unavailable' })),
  );
  try {
    return await run(limit.signal);
  } finally {
    release();
    signal.removeEventListener('abort', stop);
  }
}

/** At which addresses WebSockets did not get through, and when they are worth another try. */
class Chances {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #failed = new Map<string, { readonly times: number; readonly againAtMs: number }>();

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** How long to wait before the next try; 0 or less when it may be now. */
  waitMs(url: string): number {
    return (this.#failed.get(url)?.againAtMs ?? 0) - this.#clock.monotonicMs();
  }

  worked(url: string): void {
    this.#failed.delete(url);
  }

  failed(url: string): void {
    const times = (this.#failed.get(url)?.times ?? 0) + 1;
    const mostMs = Math.min(AGAIN_MS.most, AGAIN_MS.first * 2 ** (times - 1));
    // Not all at once after what they share has failed.
    const againAtMs = this.#clock.monotonicMs() + mostMs * (0.5 + this.#random() / 2);
    this.#failed.delete(url);
    this.#failed.set(url, { times, againAtMs });
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > REMEMBERED_MAX && oldest !== undefined) this.#failed.delete(oldest);
  }
}
