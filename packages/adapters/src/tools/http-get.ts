import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import os from 'node:os';
import { defineTool, Scope, type Tool } from '@skein/agent';
import { abortReason, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { AddressPolicy, type ResolveHost } from './address-policy.ts';
import { httpGetExamples } from './examples.ts';
import { decodeBody, parseContentType, readBody } from './http-body.ts';

export interface HttpGetOptions {
  /** Addresses, ranges and host names that may be reached although they are not public; `host:port` narrows one. */
  readonly allowPrivate?: readonly string[];
  /** For the whole call, redirects included. */
  readonly timeoutMs?: number;
  /** Of the unpacked body; the rest is cut. */
  readonly maxBytes?: number;
  /** Where names come from; the system's resolver by default. */
  readonly resolveHost?: ResolveHost;
}

export const HTTP_GET_DEFAULTS = { allowPrivate: [], timeoutMs: 15_000, maxBytes: 262_144 } as const;

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const HEADERS = { accept: 'text/*, application/json, application/xml;q=0.9, */*;q=0.5', 'user-agent': 'skein' };

const input = z.object({
  url: z.string().min(1).max(4_096).describe('An http or https address; https is assumed without one.'),
});

/**
 * Gets a web page: `{ url, status, contentType, charset, sizeBytes, text, truncated, redirects, ms }`, where `url` is
 * where the redirects ended and `text` is null for what is no text. Any status is a result.
 *
 * Private, local and other special addresses are refused unless listed, in every spelling, for each redirect anew; the
 * connection goes to the very address that was checked, so a name that changes its mind gains nothing.
 */
export function createHttpGet(options: HttpGetOptions = {}): Tool {
  const { allowPrivate, timeoutMs, maxBytes } = { ...HTTP_GET_DEFAULTS, ...options };
  const policy = new AddressPolicy({ allowPrivate, resolveHost: options.resolveHost ?? resolveBySystem, ownAddresses });
  return defineTool({
    name: 'http_get',
    description: `Gets a public web page or file over http or https and returns its text, at most ${maxBytes} bytes.`,
    input,
    effect: 'read',
    untrusted: true,
    examples: httpGetExamples,
    async run({ url }, context) {
      const startedAt = performance.now();
      using limit = new Scope({ parent: context.signal, timeoutMs, what: url });
      try {
        const { response, finalUrl, redirects } = await follow(parseUrl(url), policy, limit.signal);
        const contentType = parseContentType(response.headers['content-type']);
        const body = await readBody(response, maxBytes);
        const decoded = decodeBody(body, contentType);
        return {
          url: finalUrl.href,
          status: response.statusCode ?? 0,
          contentType: contentType.type,
          charset: decoded?.charset ?? null,
          sizeBytes: body.bytes.length,
          text: decoded?.text ?? null,
          truncated: body.truncated,
          redirects,
          ms: Math.round(performance.now() - startedAt),
        };
      } catch (error) {
        throw requestError(error, { url, timeoutMs, signal: limit.signal, callerSignal: context.signal });
      }
    },
  });
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
    const response = await request(url, await policy.permittedAddresses(url), signal);
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
    outgoing.end();
  });
}

/** Answers every lookup with the addresses that were checked. */
function pinned(addresses: readonly LookupAddress[]): LookupFunction {
  return (_host, { all }, callback) => {
    const [first] = addresses;
    if (all) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  };
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

async function resolveBySystem(host: string): Promise<LookupAddress[]> {
  return lookup(host, { all: true, verbatim: true });
}

function ownAddresses(): string[] {
  return Object.values(os.networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}
