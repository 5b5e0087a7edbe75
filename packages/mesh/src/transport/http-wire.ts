import type { IncomingMessage } from 'node:http';

/** What is asked of a node whose connection is carried by HTTP requests; stands last in the path. */
const HTTP_ROUTES = {
  open: 'skein/v1/open',
  up: 'skein/v1/up',
  down: 'skein/v1/down',
  hold: 'skein/v1/hold',
  end: 'skein/v1/end',
} as const;
export type HttpRoute = keyof typeof HTTP_ROUTES;

export const HTTP_HEADERS = {
  /** Which connection: made by the node, not to be guessed, and never in a URL, where logs would have it. */
  connection: 'skein-connection',
  /** A place in one of the two streams of bytes. */
  offset: 'skein-offset',
  /** The most bytes the answer may have. */
  maxBytes: 'skein-max-bytes',
  /** "1": the stream ends with this body. */
  end: 'skein-end',
} as const;

/** Bytes of one body. */
export const HTTP_BODY_BYTES = { least: 8 * 1024, first: 64 * 1024, most: 256 * 1024 } as const;
/** How long a request may wait at a node for bytes, or for the next: well below the 30 s after which many a proxy cuts. */
export const HTTP_POLL_MS = 20_000;

/** Where a node's answers over HTTP are, from the address it is dialled at. */
export function httpUrl(url: string, route: HttpRoute): URL {
  const parsed = new URL(url.replace(/^ws(s?):/, 'http$1:'));
  parsed.pathname = `${parsed.pathname.replace(/\/$/, '')}/${HTTP_ROUTES[route]}`;
  parsed.search = '';
  return parsed;
}

/** Which of these a request asks for; undefined for everything else. A proxy may have put its own path before it. */
export function httpRouteOf(url: string | undefined): HttpRoute | undefined {
  const path = url?.split('?', 1)[0] ?? '';
  for (const route of ['open', 'up', 'down', 'hold', 'end'] as const) {
    if (path.endsWith(`/${HTTP_ROUTES[route]}`)) return route;
  }
  return undefined;
}

/** A header that holds a whole number; undefined when it holds none. */
export function numberHeader(message: IncomingMessage, name: string): number | undefined {
  const value = message.headers[name];
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}
