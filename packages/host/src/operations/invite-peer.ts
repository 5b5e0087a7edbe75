import { formatInviteCode, Invites, type TrustLevel } from '@skein/mesh';
import { fingerprintWords } from '@skein/protocol';
import { isLoopback, ownAddresses } from '../addresses.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { loadOrCreateNodeKey } from '../node-key.ts';

export interface InviteOptions {
  /** What the one who joins may do here. */
  readonly trust: TrustLevel;
  readonly allowBrain: boolean;
  /** Counts in elections here. */
  readonly voter?: boolean;
  readonly ttlMs: number;
  /** `host:port` each; empty for those this machine has. */
  readonly addresses: readonly string[];
  /** The port this node listens on. */
  readonly port: number;
  /** The address it listens on, where that may be another than the configuration now says. */
  readonly host?: string | undefined;
}

/** An open invitation as it is handed over. */
export interface OpenInvite {
  readonly id: string;
  readonly code: string;
  readonly addresses: readonly string[];
  /** Nobody said where this node is reached, and it listens to its own machine alone. */
  readonly onlyHere: boolean;
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
  const { trust, allowBrain, voter = false, ttlMs, port, host = config.net.host } = options;
  const isTold = options.addresses.length > 0;
  const addresses = isTold ? options.addresses : ownAddresses({ ...config.net, host }, port);
  const { identity } = loadOrCreateNodeKey(loaded);
  const invites = new Invites({ directory: dataDir(config.dataDir).invites, now: Date.now });
  const { id, secret, expiresAtMs } = invites.create({ trust, allowBrain, voter, ttlMs });
  try {
    const code = formatInviteCode({ peer: identity.id, id, secret: Buffer.from(secret, 'hex'), addresses });
    return {
      id,
      code,
      addresses,
      onlyHere: !isTold && addresses.every(isOfThisMachine),
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

/** Whether `host:port` means this machine wherever it is dialled. */
function isOfThisMachine(address: string): boolean {
  const host = address.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
  return host === 'localhost' || isLoopback(host);
}
