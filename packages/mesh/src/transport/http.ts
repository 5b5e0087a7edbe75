import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { abortReason, SkeinError } from '@skein/protocol';
import { type Clock, systemClock } from '../clock.ts';
import { HTTP_HEADERS, httpUrl } from './http-wire.ts';
import { answerOf, PollingCarrier, startRequest } from './polling-carrier.ts';
import { StreamConnection } from './stream-connection.ts';
import type { Transport } from './transport.ts';

export interface HttpTransportOptions {
  readonly clock?: Clock;
}

/** Dials `http:` and `https:` URLs: connections carried by plain requests, where nothing better gets through. */
export function createHttpTransport({ clock = systemClock }: HttpTransportOptions = {}): Transport {
  return {
    schemes: ['http', 'https'],
    dial: async (url, { signal }) => (await dialHttp(url, { signal, clock })).connection,
  };
}

/** A connection over HTTP, and what names it to the node that answered. */
export interface HttpDialled {
  readonly connection: StreamConnection;
  readonly id: string;
}

/** @throws SkeinError `unavailable`, `canceled`, `deadline-exceeded`. */
export async function dialHttp(
  url: string,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<HttpDialled> {
  if (signal.aborted) throw abortReason(signal);
  const target = httpUrl(url, 'open');
  const options = { keepAlive: true, maxSockets: 4 };
  const agent = target.protocol === 'https:' ? new TlsAgent(options) : new Agent(options);
  const request = startRequest('POST', target, { agent, headers: { 'content-length': 0, 'cache-control': 'no-store' } });
  const abort = () => request.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const response = await answerOf(request);
    response.resume();
    const id = response.headers[HTTP_HEADERS.connection];
    if (response.statusCode !== 200 || typeof id !== 'string') {
      throw new SkeinError(`Nobody answers at ${url}: HTTP ${response.statusCode} came`, { code: 'unavailable' });
    }
    const connection = new StreamConnection({ remoteAddress: new URL(url).host, clock });
    connection.carryBy(new PollingCarrier({ connection, url, id, agent, clock }));
    return { connection, id };
  } catch (error) {
    agent.destroy();
    if (signal.aborted) throw abortReason(signal);
    if (error instanceof SkeinError) throw error;
    const { message } = SkeinError.from(error);
    throw new SkeinError(`Nobody answers at ${url}: ${message}`, { code: 'unavailable', cause: error });
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
