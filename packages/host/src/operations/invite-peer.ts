import { networkInterfaces } from 'node:os';
import { formatInviteCode, Invites, loadOrCreateIdentity, type TrustLevel } from '@skein/mesh';
import { fingerprintWords, SkeinError } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';

/** Addresses a code has room for. */
const ADDRESSES_MAX = 8;

export interface InviteOptions {
  /** What the one who joins may do here. */
  readonly trust: TrustLevel;
  readonly allowBrain: boolean;
  readonly ttlMs: number;
  /** `host:port` each; empty for those this machine has. */
  readonly addresses: readonly string[];
  /** The port this node listens on. */
  readonly port: number;
}

/** An open invitation as it is handed over. */
export interface OpenInvite {
  readonly id: string;
  readonly code: string;
  readonly addresses: readonly string[];
  /** This node's key as words. */
  readonly fingerprint: string;
  readonly expiresAtMs: number;
  /** Whether it still can be used: false when it was used or has expired. */
  isOpen(): boolean;
  /** Takes it back; nothing when it is not open any more. */
  cancel(): void;
}

/** Makes an invitation; the node that listens on `port` honours it. */
export function invitePeer(loaded: LoadedConfig, options: InviteOptions): OpenInvite {
  const { config } = loaded;
  const { trust, allowBrain, ttlMs, port } = options;
  const addresses = options.addresses.length > 0 ? options.addresses : ownAddresses(loaded, port);
  const identity = loadOrCreateIdentity(config.net.keyPath);
  const invites = new Invites({ directory: dataDir(config.dataDir).invites, now: Date.now });
  const { id, secret, expiresAtMs } = invites.create({ trust, allowBrain, ttlMs });
  try {
    const code = formatInviteCode({ peer: identity.id, id, secret: Buffer.from(secret, 'hex'), addresses });
    return {
      id,
      code,
      addresses,
      fingerprint: fingerprintWords(identity.id),
      expiresAtMs,
      isOpen: () => invites.list().some((open) => open.id === id),
      cancel: () => invites.cancel(id),
    };
  } catch (error) {
    invites.cancel(id);
    throw error;
  }
}

/** Where others may reach this node: what the configuration says, else this machine's own addresses. */
function ownAddresses({ config: { net } }: LoadedConfig, port: number): readonly string[] {
  if (net.publicUrl !== undefined) return [hostAndPort(net.publicUrl)];
  if (net.hostname !== undefined) return [`${net.hostname}:${port}`];
  const isAny = net.host === '0.0.0.0' || net.host === '::';
  if (!isAny) return [`${net.host.includes(':') ? `[${net.host}]` : net.host}:${port}`];
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    // What most networks speak comes first: the other side tries them in order.
    .sort((a, b) => a.family.localeCompare(b.family))
    .filter(({ family }) => family === 'IPv4' || net.host === '::')
    .map(({ address, family }) => `${family === 'IPv6' ? `[${address}]` : address}:${port}`);
  if (found.length === 0) return [`127.0.0.1:${port}`];
  return found.slice(0, ADDRESSES_MAX);
}

function hostAndPort(url: string): string {
  if (!URL.canParse(url)) throw new SkeinError(`net.publicUrl "${url}" is not an address`, { code: 'invalid' });
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === 'wss:' || protocol === 'https:' ? '443' : '80')}`;
}
