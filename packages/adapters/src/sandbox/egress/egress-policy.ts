import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { untilAborted } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { AddressPolicy, type ResolveHost } from '../../tools/address-policy.ts';
import { ownAddresses, resolveBySystem } from '../../tools/resolve-host.ts';
import { formatHostGrant, grantsHost, type HostGrant } from './host-grant.ts';

/** What a program asks to be connected with. */
export interface Target {
  /** As `canonicalHost` gives it. */
  readonly host: string;
  readonly port: number;
}

export interface EgressPolicyParts {
  readonly grants: readonly HostGrant[];
  /** Where people list hosts, for messages. */
  readonly listedIn: string;
  /** The system's by default. */
  readonly resolveHost?: ResolveHost;
}

/** Names that wait to be looked up. */
const MAX_LOOKUPS = 64;

/** Which addresses one program may be connected with. */
export class EgressPolicy {
  readonly #grants: readonly HostGrant[];
  readonly #listedIn: string;
  readonly #resolveHost: ResolveHost;
  readonly #addresses: AddressPolicy;
  #lookups = 0;
  #lastLookup: Promise<unknown> = Promise.resolve();

  constructor({ grants, listedIn, resolveHost = resolveBySystem }: EgressPolicyParts) {
    this.#grants = grants;
    this.#listedIn = listedIn;
    this.#resolveHost = resolveHost;
    this.#addresses = new AddressPolicy({
      // Only addresses: a name that is granted may lead where its owner likes, inside this network too.
      allowPrivate: grants
        .filter(({ host }) => isIP(host) !== 0)
        .flatMap(({ host, ports }) => ports.map((port) => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`)),
      resolveHost: (host) => this.#lookUp(host),
      ownAddresses,
      listedIn,
    });
  }

  /**
   * The addresses of a target, all of them permitted; connect to these and to no other. A name that is not granted is not
   * even looked up.
   * @throws SkeinError `denied` saying how it would be granted, `unavailable` for a name that does not resolve and when
   * too many wait for that, the signal's reason.
   */
  async permittedAddresses({ host, port }: Target, signal: AbortSignal): Promise<readonly LookupAddress[]> {
    if (!this.#grants.some((grant) => grantsHost(grant, host, port))) {
      const entry = JSON.stringify(formatHostGrant(host, port));
      throw new SkeinError(`${host}:${port} is not granted; add ${entry} to ${this.#listedIn} if it is meant`, {
        code: 'denied',
      });
    }
    const url = new URL(`http://${isIP(host) === 6 ? `[${host}]` : host}:${port}/`);
    return await untilAborted(this.#addresses.permittedAddresses(url), signal);
  }

  /** One at a time: the system's resolver keeps a thread busy, of the few by which this node reaches its files too. */
  async #lookUp(host: string): Promise<readonly LookupAddress[]> {
    if (this.#lookups >= MAX_LOOKUPS) throw new SkeinError('Too many names are being looked up; try again', { code: 'busy' });
    this.#lookups += 1;
    const found = this.#lastLookup.then(() => this.#resolveHost(host));
    const done = () => {
      this.#lookups -= 1;
    };
    this.#lastLookup = found.then(done, done);
    return await found;
  }
}
