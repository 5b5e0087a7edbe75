import {
  createIdentityFile,
  isKeyFileEncrypted,
  type KeyFile,
  loadKeyFile,
  loadOrCreateKeyFile,
  readPassphraseFile,
} from '@skein/mesh';
import type { LoadedConfig } from './config/load-config.ts';

type KeyOwner = Pick<LoadedConfig, 'config' | 'keyPassphrase'>;

/** The key of a node. @throws SkeinError `not-found`, `denied`, `corrupt`, `unauthenticated` without its passphrase. */
export function loadNodeKey(owner: KeyOwner): KeyFile {
  return loadKeyFile(owner.config.net.keyPath, keyPassphraseOf(owner));
}

/** The same; made where there is none, encrypted where a passphrase is given. */
export function loadOrCreateNodeKey(owner: KeyOwner): KeyFile {
  return loadOrCreateKeyFile(owner.config.net.keyPath, keyPassphraseOf(owner));
}

/** Makes the key of a node. @throws SkeinError `conflict` when there is one. */
export function createNodeKey(owner: KeyOwner): void {
  createIdentityFile(owner.config.net.keyPath, keyPassphraseOf(owner));
}

/** Whether somebody has to be asked for the passphrase of this node's key. */
export function needsPassphrase({ config, keyPassphrase }: KeyOwner): boolean {
  const { keyPath, keyPassphraseFile } = config.net;
  return keyPassphrase === undefined && keyPassphraseFile === undefined && isKeyFileEncrypted(keyPath);
}

/** What a person typed, else what the file says that the configuration names. */
export function keyPassphraseOf({ config, keyPassphrase }: KeyOwner): string | undefined {
  const file = config.net.keyPassphraseFile;
  return keyPassphrase?.() ?? (file === undefined ? undefined : readPassphraseFile(file));
}
