import type { Target } from './egress-policy.ts';
import { canonicalHost, isPort } from './host-grant.ts';

/** What a request in absolute form asks for (RFC 9112, 3.2.2). */
export interface WebTarget extends Target {
  /** Its host as the server is to be told. */
  readonly authority: string;
  readonly path: string;
}

/** The target of CONNECT (RFC 9112, 3.2.3): a host and always a port. Undefined for anything else. */
export function parseAuthority(text: string): Target | undefined {
  const [, name = '', portText = ''] = /^(\[[^\]]*\]|[^[\]:]+):(\d{1,5})$/.exec(text) ?? [];
  const host = canonicalHost(name);
  const port = Number(portText);
  return host === undefined || !isPort(port) ? undefined : { host, port };
}

/** Undefined for what is no http address in absolute form; what is a name and password in it is left out. */
export function parseWebTarget(text: string): WebTarget | undefined {
  const [, authority = ''] = /^http:\/\/([^/?#]*)/i.exec(text) ?? [];
  const target = parseAuthority(/:\d+$/.test(authority) ? authority : `${authority}:80`);
  const url = URL.parse(text);
  // Read twice, so that no spelling is one host here and another there.
  if (target === undefined || url === null || canonicalHost(url.hostname) !== target.host) return undefined;
  if (Number(url.port === '' ? 80 : url.port) !== target.port) return undefined;
  return { ...target, authority: url.host, path: `${url.pathname}${url.search}` };
}
