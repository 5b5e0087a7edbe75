import { changePassphrase, rotateKeyFile } from '@skein/mesh';
import { fingerprintWords, formatKeyLine, type PeerId } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { keyPassphraseOf } from '../node-key.ts';
import { assertNotRunning } from '../running.ts';
import type { OwnKey } from './init-node.ts';

/** The new key of a node, and which it had before. */
export interface RotatedKey extends Omit<OwnKey, 'voleLine'> {
  readonly former: { readonly peerId: PeerId; readonly fingerprint: string };
}

/**
 * Gives a node a new key, for which the old one vouches; the old one is gone then. Peers that trust the old key move its
 * line to the new one when they meet next.
 * @throws SkeinError `conflict` while the node runs, or for a key that has a root, and as `loadNodeKey`.
 */
export function rotateKey(loaded: LoadedConfig): RotatedKey {
  const { config } = loaded;
  const { keyPath } = config.net;
  assertNotRunning(dataDir(config.dataDir));
  const { from, to } = rotateKeyFile(keyPath, { passphrase: keyPassphraseOf(loaded), nowMs: Date.now() });
  return {
    name: config.name,
    peerId: to.id,
    fingerprint: fingerprintWords(to.id),
    line: formatKeyLine(to, config.name),
    root: null,
    keyPath,
    former: { peerId: from.id, fingerprint: fingerprintWords(from.id) },
  };
}

/**
 * Sets, changes or, with undefined, removes the passphrase of a node's key. A node that runs goes on; it needs the new one
 * at its next start.
 * @throws SkeinError `invalid` for one of fewer than 12 characters, and as `loadNodeKey`.
 */
export function setKeyPassphrase(loaded: LoadedConfig, to: string | undefined): void {
  changePassphrase(loaded.config.net.keyPath, { from: keyPassphraseOf(loaded), to });
}
