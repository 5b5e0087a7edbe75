import type { LookupAddress } from 'node:dns';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Scope, untilAborted } from '@skein/agent';
import { abortReason, SkeinError } from '@skein/protocol';
import { AddressPolicy, type ResolveHost } from './address-policy.ts';
import { type Body, type ContentType, parseContentType, readBody } from './http-body.ts';
import { ownAddresses, pinned, resolveBySystem } from './resolve-host.ts';

export interface HttpFetchOptions {
  /** Addresses, ranges and host names that may be reached although they are not public; `host:port` narrows one. */
  readonly allowPrivate?: readonly string[];
  /** For the whole call, redirects included. */
  readonly timeoutMs?: number;
  /** Of the unpacked body; the rest is cut. */
  readonly maxBytes?: number;
  /** Where names come from; the system's resolver by default. */
  readonly resolveHost?: ResolveHost;
}

export const HTTP_FETCH_DEFAULTS = { allowPrivate: [], timeoutMs: 15_000, maxBytes: 262_144 } as const;

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const HEADERS = { accept: 'text/*, application/json, application/xml;q=0.9, */*;q=0.5', 'user-agent': 'skein' };

/** What a web address answered, where its redirects ended. */
export interface Fetched {
  readonly url: URL;
  /** The addresses passed through before. */
  readonly redirects: readonly string[];
  readonly status: number;
  readonly contentType: ContentType;
  readonly body: Body;
}

/**
 * Gets web addresses, for tools that do. Private, local and other special addresses are refused unless listed, in every
 * spelling, for each redirect anew; the connection goes to the very address that was checked, so a name that changes its
 * mind gains nothing.
 */
export class HttpFetcher {
  readonly #policy: AddressPolicy;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;

  constructor(options: HttpFetchOptions) {
    const { allowPrivate, timeoutMs, maxBytes } = { ...HTTP_FETCH_DEFAULTS, ...options };
    this.#policy = new AddressPolicy({ allowPrivate, resolveHost: options.resolveHost ?? resolveBySystem, ownAddresses });
    this.#timeoutMs = timeoutMs;
    this.#maxBytes = maxBytes;
  }

  /** @throws SkeinError `invalid`, `denied`, `unavailable`, `deadline-exceeded`, `corrupt`, `unsupported`, or the signal's reason. */
  async get(url: string, callerSignal: AbortSignal): Promise<Fetched> {
    const timeoutMs = this.#timeoutMs;
    using limit = new Scope({ parent: callerSignal, timeoutMs, what: url });
    try {
      const { response, finalUrl, redirects } = await follow(parseUrl(url), this.#policy, limit.signal);
      const contentType = parseContentType(response.headers['content-type']);
      const body = await readBody(response, this.#maxBytes);
      return { url: finalUrl, redirects, status: response.statusCode ?? 0, contentType, body };
    } catch (error) {
      throw requestError(error, { url, timeoutMs, signal: limit.signal, callerSignal });
    }
  }
}

interface Followed {
  readonly response: IncomingMessage;
  readonly finalUrl: URL;
  /** The addresses passed through before the final one. */
  readonly redirects: string[];
}

async function follow(start: URL, policy: AddressPolicy, signal: AbortSignal): Promise<Followed> {
  const redirects: string[] = [];
  for (let url = start; ; ) {
    const addresses = await untilAborted(policy.permittedAddresses(url), signal);
    const response = await request(url, addresses, signal);
    const { location } = response.headers;
    if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) return { response, finalUrl: url, redirects };
    response.destroy();
    if (redirects.length === MAX_REDIRECTS) {
      throw new SkeinError(`${start.href} redirects more than ${MAX_REDIRECTS} times`, { code: 'unavailable' });
    }
    redirects.push(url.href);
    url = parseUrl(location, url);
  }
}

async function request(url: URL, addresses: readonly LookupAddress[], signal: AbortSignal): Promise<IncomingMessage> {
  if (signal.aborted) throw signal.reason;
  const client = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const outgoing = client.request(url, {
      method: 'GET',
      headers: HEADERS,
      // A connection of its own: one kept from before may have been opened to another address.
      agent: false,
      lookup: pinned(addresses),
      signal,
    });
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    // All that is told of an answer that changes the protocol (101), which nobody asked for.
    outgoing.on('close', () => reject(new SkeinError(`${url.host} gave no answer`, { code: 'unavailable' })));
    outgoing.end();
  });
}

function parseUrl(text: string, base?: URL): URL {
  const absolute = base !== undefined || /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(text) ? text : `https://${text}`;
  const url = URL.parse(absolute, base?.href);
  if (url === null) throw new SkeinError(`${JSON.stringify(text)} is no web address`, { code: 'invalid' });
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new SkeinError(`${url.protocol} is not fetched, only http and https`, { code: 'invalid' });
  }
  if (url.username !== '' || url.password !== '') {
    throw new SkeinError(`The address for ${url.host} holds a user name or password; leave it out`, { code: 'invalid' });
  }
  url.hash = '';
  return url;
}

function requestError(
  error: unknown,
  { url, timeoutMs, signal, callerSignal }: { url: string; timeoutMs: number; signal: AbortSignal; callerSignal: AbortSignal },
): SkeinError {
  if (callerSignal.aborted) return abortReason(callerSignal);
  if (signal.aborted) {
    return new SkeinError(`${url} did not answer within ${timeoutMs} ms`, { code: 'deadline-exceeded', cause: error });
  }
  if (error instanceof SkeinError) return error;
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  return new SkeinError(`${url} cannot be reached${code}`, { code: 'unavailable', cause: error });
}
