import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { SkeinError } from '@skein/protocol';
import ipaddr from 'ipaddr.js';

/** Resolves a name to all its addresses. */
export type ResolveHost = (host: string) => Promise<readonly LookupAddress[]>;

export interface AddressPolicyOptions {
  /** What may be reached although it is not public: addresses, ranges (10.1.0.0/16) and host names, each with or without `:port`. */
  readonly allowPrivate: readonly string[];
  readonly resolveHost: ResolveHost;
  /** This machine's own addresses, public ones too: what listens there may trust it. */
  readonly ownAddresses: () => readonly string[];
  /** Where people list such an address, for messages; `tools.http.allowPrivate` when absent. */
  readonly listedIn?: string;
}

interface Exception {
  readonly port: number | undefined;
  /** Lower case, without a dot at the end. */
  readonly host: string | undefined;
  readonly range: [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined;
}

/** Public by their range, yet cloud machines are configured, and hold credentials, through them. */
const METADATA_ADDRESSES = new Set(['168.63.129.16']);
/** RFC 6052: an IPv4 address in the last four bytes, reached through a gateway. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
/** All global unicast addresses handed out so far (RFC 4291, IANA). */
const GLOBAL_V6 = ipaddr.IPv6.parseCIDR('2000::/3');

/** Decides which addresses a tool may connect to. */
export class AddressPolicy {
  readonly #exceptions: readonly Exception[];
  readonly #options: AddressPolicyOptions;

  /** @throws SkeinError `invalid` for an entry of `allowPrivate` that is no address, range or host. */
  constructor(options: AddressPolicyOptions) {
    this.#options = options;
    this.#exceptions = options.allowPrivate.map(parseException);
  }

  /**
   * The addresses of a URL's host, all of them permitted; connect to these and to no other.
   * @throws SkeinError `denied` when any of them is not permitted, `unavailable` when the name does not resolve.
   */
  async permittedAddresses(url: URL): Promise<readonly LookupAddress[]> {
    const host = url.hostname
      .replace(/^\[|\]$/g, '')
      .replace(/\.$/, '')
      .toLowerCase();
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
    const addresses = await this.#addresses(host);
    for (const { address } of addresses) {
      if (isPublic(address) && !this.#isOwn(address)) continue;
      if (this.#exceptions.some((exception) => matches(exception, { host, port, address }))) continue;
      throw new SkeinError(
        `${url.host} leads to ${address}, which is no public address; the node's owner lists it in ${this.#options.listedIn ?? 'tools.http.allowPrivate'} if it is meant`,
        { code: 'denied' },
      );
    }
    return addresses;
  }

  async #addresses(host: string): Promise<readonly LookupAddress[]> {
    const family = isIP(host);
    if (family !== 0) return [{ address: host, family }];
    const addresses = await this.#options.resolveHost(host).catch((error: unknown) => {
      throw new SkeinError(`The name ${host} does not resolve; check it`, { code: 'unavailable', cause: error });
    });
    if (addresses.length === 0) throw new SkeinError(`The name ${host} has no address`, { code: 'unavailable' });
    return addresses;
  }

  #isOwn(address: string): boolean {
    const parsed = ipaddr.process(address).toNormalizedString();
    return this.#options
      .ownAddresses()
      .some((own) => ipaddr.isValid(own) && ipaddr.process(own).toNormalizedString() === parsed);
  }
}

/** True for an address anybody on the internet can be at; false for private, local, special and unparsable ones. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // `process` turns an IPv4 address inside an IPv6 one into itself.
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv6) {
    if (parsed.match(NAT64)) return isPublic(ipaddr.fromByteArray(parsed.toByteArray().slice(12)).toString());
    return parsed.match(GLOBAL_V6) && parsed.range() === 'unicast';
  }
  return parsed.range() === 'unicast' && !METADATA_ADDRESSES.has(parsed.toString());
}

function matches(exception: Exception, target: { host: string; port: number; address: string }): boolean {
  if (exception.port !== undefined && exception.port !== target.port) return false;
  if (exception.host !== undefined) return exception.host === target.host;
  if (exception.range === undefined || !ipaddr.isValid(target.address)) return false;
  const address = ipaddr.process(target.address);
  const [range, bits] = exception.range;
  return address.kind() === range.kind() && address.match(range, bits);
}

function parseException(entry: string): Exception {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]+)\]|([^[\]]*?))(?::(\d{1,5}))?$/.exec(entry.trim()) ?? [];
  const wholeIsV6 = isIP(entry.trim().split('/')[0] ?? '') === 6;
  const name = wholeIsV6 ? entry.trim() : (bracketed ?? plain ?? '');
  const port = wholeIsV6 || portText === undefined ? undefined : Number(portText);
  if (ipaddr.isValidCIDR(name)) return { port, host: undefined, range: ipaddr.parseCIDR(name) };
  if (isIP(name) !== 0) {
    const address = ipaddr.process(name);
    return { port, host: undefined, range: [address, address.kind() === 'ipv4' ? 32 : 128] };
  }
  if (/^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i.test(name) && !/^[\d.]+$/.test(name)) {
    return { port, host: name.toLowerCase(), range: undefined };
  }
  throw new SkeinError(`${JSON.stringify(entry)} in allowPrivate is no address, range (10.1.0.0/16) or host name`, {
    code: 'invalid',
  });
}
