import { existsSync } from 'node:fs';
import {
  createIdentityFile,
  isKeyFileEncrypted,
  type KeyFile,
  keyIdsOf,
  loadKeyFile,
  loadOrCreateKeyFile,
  readPassphraseFile,
} from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import type { LoadedConfig } from './config/load-config.ts';
import { dataDir } from './data-dir.ts';

type KeyOwner = Pick<LoadedConfig, 'config' | 'keyPassphrase'>;

/** The key of a node. @throws SkeinError `not-found`, `denied`, `corrupt`, `unauthenticated` without its passphrase. */
export function loadNodeKey(owner: KeyOwner): KeyFile {
  return loadKeyFile(owner.config.net.keyPath, keyPassphraseOf(owner));
}

/**
 * The same; made where there is none, encrypted where a passphrase is given.
 * @throws SkeinError `corrupt` where a node was that had another key.
 */
export function loadOrCreateNodeKey(owner: KeyOwner): KeyFile {
  assertKeyNotLost(owner);
  return loadOrCreateKeyFile(owner.config.net.keyPath, keyPassphraseOf(owner));
}

/** Makes the key of a node. @throws SkeinError `conflict` when there is one. */
export function createNodeKey(owner: KeyOwner): void {
  createIdentityFile(owner.config.net.keyPath, keyPassphraseOf(owner));
}

/** A node that has kept something is not a new one: without its key it would be a stranger to those who trust it. */
export function assertKeyNotLost({ config }: Pick<KeyOwner, 'config'>): void {
  const { keyPath } = config.net;
  if (existsSync(keyPath)) return;
  const dir = dataDir(config.dataDir);
  const left = [dir.database, dir.audit].find((file) => existsSync(file));
  if (left === undefined) return;
  throw new SkeinError(
    `There is no key ${keyPath}, but ${left} is of a node that had one. Put the key back; where it has a root: skein net rotate-key --root FILE --lost ${config.name}; or begin with a new identity, which the other nodes must trust anew: skein net init ${config.name} --new-key`,
    { code: 'corrupt' },
  );
}

/** The ids of this node's keys, the present one and the former, as far as they can be known without a passphrase. */
export function ownIdsOf(owner: KeyOwner): readonly PeerId[] {
  return keyIdsOf(owner.config.net.keyPath, keyPassphraseOf(owner));
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
