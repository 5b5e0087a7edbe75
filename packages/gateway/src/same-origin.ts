import { SkeinError } from '@skein/protocol';

/** What a request says about where it comes from. */
export interface RequestOrigin {
  readonly method: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** The fetch metadata a browser adds and no page can forge (W3C Fetch Metadata). */
  readonly fetchSite: string | undefined;
  readonly fetchMode: string | undefined;
  readonly fetchDest: string | undefined;
}

/**
 * Why a request is not from this node's own page or from a program, or null when it is. The Host check defeats DNS
 * rebinding: a rebound name is the attacker's and so not on the list. Ports are not compared there, for an attacker
 * gains nothing by them.
 */
export function foreignOrigin(request: RequestOrigin, allowedHosts: ReadonlySet<string>): SkeinError | null {
  const { host, origin } = request;
  const name = host === undefined ? undefined : hostNameOf(host);
  if (name === undefined || host === undefined || !allowedHosts.has(name)) {
    return new SkeinError(
      `"${(host ?? '').slice(0, 100)}" is not a name of this node; a name to reach it by must be listed in its configuration`,
      { code: 'denied' },
    );
  }
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    return new SkeinError(`A page of ${origin.slice(0, 100)} may not use this node`, { code: 'denied' });
  }
  const { fetchSite } = request;
  if (fetchSite !== undefined && fetchSite !== 'same-origin' && fetchSite !== 'none' && !isOpening(request)) {
    return new SkeinError('A page of another origin may not use this node', { code: 'denied' });
  }
  return null;
}

/** The lower-case host name of a Host header or of a list entry, without its port; undefined when it is neither. */
export function hostNameOf(host: string): string | undefined {
  if (!/^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(host)) return undefined;
  return URL.parse(`http://${host}`)?.hostname;
}

/** Somebody following a link to the page's front door; it holds no data and takes no frame. */
function isOpening(request: RequestOrigin): boolean {
  return (
    request.method === 'GET' && request.path === '/' && request.fetchMode === 'navigate' && request.fetchDest === 'document'
  );
}

function isSameOrigin(origin: string, host: string): boolean {
  const from = URL.parse(origin);
  if (from === null || (from.protocol !== 'http:' && from.protocol !== 'https:')) return false;
  // Behind a proxy that ends TLS the scheme differs, so Host is read under the scheme of Origin.
  return URL.parse(`${from.protocol}//${host}`)?.host === from.host && from.origin === origin.toLowerCase();
}
