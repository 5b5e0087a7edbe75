import { VOLE_PROOF_MS } from './limits.ts';
import type { Encryption } from './message-writer.ts';

/** Options of the dialect, with their defaults. */
export interface VoleNetOptions {
  /** Whether what is for one peer alone is sealed. */
  readonly encryption: Encryption;
  /** Whether to announce an ML-DSA key and sign with it: a millisecond and 4.4 KB a message, and no way back for peers that saw it. */
  readonly hybrid: boolean;
  /** Whether strangers that ask `/volenet/info` are told this node's name. */
  readonly publishName: boolean;
  /** Messages of one peer that are taken in a second; beyond, calls are answered with an error and the rest is refused. */
  readonly messagesPerSecond: number;
  /** How long a socket may take to show whose it is. */
  readonly proofTimeoutMs: number;
}

export const VOLE_NET_OPTIONS: VoleNetOptions = {
  encryption: 'prefer',
  hybrid: true,
  publishName: false,
  messagesPerSecond: 5_000,
  proofTimeoutMs: VOLE_PROOF_MS,
};
