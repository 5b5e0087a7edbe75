import { isIP } from 'node:net';
import { SkeinError } from '@skein/protocol';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** One entry of a list of hosts a program may reach. */
export interface HostGrant {
  /** As `canonicalHost` gives it. */
  readonly host: string;
  /** For `*.example.org`: any name below it, and not itself. */
  readonly below: boolean;
  readonly ports: readonly number[];
}

/** Those of HTTPS and HTTP, for an entry that names none. */
const DEFAULT_PORTS = [443, 80] as const;
const MAX_HOST_CHARS = 253;
const MAX_HOSTS = 64;

/** What a program may reach: anything, nothing, or hosts as in `parseHostGrant`. */
export const networkGrant = z
  .union([
    z.boolean(),
    z
      .array(
        z
          .string()
          .max(300)
          .superRefine((text, context) => {
            if (readHostGrant(text) === undefined) context.addIssue({ code: 'custom', message: describeMistake(text) });
          }),
      )
      .max(MAX_HOSTS),
  ])
  .default(false)
  .describe(
    'Hosts it may reach, through a proxy that this node holds for it: ["api.example.com", "*.example.org:8443", "10.1.2.3:5432"]; ports 443 and 80 when none is named, *. any name below, a private address only when it is listed itself. true: anywhere, this machine too, past no proxy. false or []: nowhere.',
  );

/**
 * A name, an address ([…] around one of IPv6), or `*.` and a name, each with or without `:port`.
 * @throws SkeinError `invalid` naming what is wrong with it.
 */
export function parseHostGrant(text: string): HostGrant {
  const grant = readHostGrant(text);
  if (grant !== undefined) return grant;
  throw new SkeinError(`The host ${JSON.stringify(text)} is wrong: ${describeMistake(text)}`, { code: 'invalid' });
}

function readHostGrant(text: string): HostGrant | undefined {
  const trimmed = text.trim();
  const bare = isIP(trimmed) === 6 ? `[${trimmed}]` : trimmed;
  const [, star, name = '', portText] = /^(\*\.)?(\[[^\]]*\]|[^[\]:]*)(?::(\d{1,5}))?$/.exec(bare) ?? [];
  const host = canonicalHost(name);
  const port = portText === undefined ? undefined : Number(portText);
  if (host === undefined || (port !== undefined && !isPort(port))) return undefined;
  if (star !== undefined && isIP(host) !== 0) return undefined;
  return { host, below: star !== undefined, ports: port === undefined ? DEFAULT_PORTS : [port] };
}

/**
 * The one spelling of a host: names in lower case and ASCII without a dot at the end, addresses of IPv4 in four numbers
 * also when they came as 0x7f.1 or inside one of IPv6. Undefined for what is no host.
 */
export function canonicalHost(text: string): string | undefined {
  // What would be another part of an address, or mean another character.
  if (text === '' || /[\s/?#@\\%]/.test(text) || /^[^[].*:/.test(text)) return undefined;
  const url = URL.parse(`http://${text}/`);
  if (url === null || url.hostname === '') return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (isIP(host) !== 0) return ipaddr.process(host).toString();
  if (host.length > MAX_HOST_CHARS || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(host)) return undefined;
  return host;
}

/** Whether an entry is for this host, in its one spelling, and port. */
export function grantsHost(grant: HostGrant, host: string, port: number): boolean {
  if (!grant.ports.includes(port)) return false;
  return grant.below ? host.endsWith(`.${grant.host}`) && isIP(host) === 0 : host === grant.host;
}

/** A host and port as people write them in a list; without a port that is taken when none is named. */
export function formatHostGrant(host: string, port: number): string {
  const named = isIP(host) === 6 ? `[${host}]` : host;
  return DEFAULT_PORTS.some((one) => one === port) ? named : `${named}:${port}`;
}

/** A port something can listen on. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

/** What is wrong with an entry that cannot be read, without what it says, which may hold a password. */
function describeMistake(text: string): string {
  if (text.trim() === '*') return 'expected a host; to let it reach anywhere, write true instead of the list';
  if (text.includes('://')) return 'expected a host, not a web address; write its host alone, as in "api.example.com"';
  return 'expected a name, *. and a name, or an address, each with or without :port, as in "10.1.2.3:5432"';
}
