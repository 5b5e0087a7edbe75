import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { bindRoot, createRootFile, currentRoot, isKeyFileEncrypted, rotateByRoot } from '@skein/mesh';
import { fingerprintWords, formatKeyLine, type PeerId, SkeinError } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { keyPassphraseOf, loadNodeKey } from '../node-key.ts';
import { assertNotRunning } from '../running.ts';
import { ensureKey } from './init-node.ts';
import type { RotatedKey } from './rotate-key.ts';

/** Where a person has a root key, and what opens it. */
export interface RootKey {
  readonly file: string;
  /** Of its file; a node's key has one of its own. */
  readonly passphrase?: string;
}

/** A node's key and the root it has now. */
export interface BoundRoot {
  readonly name: string;
  readonly peerId: PeerId;
  readonly file: string;
  readonly root: { readonly id: PeerId; readonly fingerprint: string };
}

/**
 * Makes a root key in a file that the owner keeps off the node, and binds this node's key to it.
 * @throws SkeinError `conflict` where there is a file, while the node runs, or for a key that has a root; `invalid` for a
 * file in the data directory, and as `bindNodeRoot`.
 */
export function initRoot(loaded: LoadedConfig, { file, passphrase }: RootKey): BoundRoot {
  checkPlace(loaded, file);
  assertNotRunning(dataDir(loaded.config.dataDir));
  // Before a file is made that would be of no use.
  if (currentRoot(loadNodeKey(loaded)) !== undefined) {
    throw new SkeinError(`The key of ${loaded.config.name} has a root already; a key has one, and keeps it`, {
      code: 'conflict',
    });
  }
  createRootFile({ path: file, passphrase });
  return bindNodeRoot(loaded, { file, ...(passphrase === undefined ? {} : { passphrase }) });
}

/**
 * Binds this node's key to a root: peers that have seen it once let no other key take its place without it.
 * @throws SkeinError `conflict` while the node runs, or for a key that has another root; `not-found`, `denied`, `corrupt`,
 * `unauthenticated` for either key file.
 */
export function bindNodeRoot(loaded: LoadedConfig, { file, passphrase }: RootKey): BoundRoot {
  const { config } = loaded;
  checkPlace(loaded, file);
  assertNotRunning(dataDir(config.dataDir));
  const { root, node } = bindRoot({ path: file, passphrase }, keyAccessOf(loaded));
  return { name: config.name, peerId: node.id, file, root: { id: root.id, fingerprint: fingerprintWords(root.id) } };
}

/**
 * Gives a node a new key by the signature of its root, the old private key not needed. With `lost`, this node's key takes
 * the place of that node's, which is known by its name or id in the root's file; a key is made where there is none.
 * @throws SkeinError `conflict` while the node runs or for a key of another root, `not-found`, and as `bindNodeRoot`.
 */
export function rotateKeyByRoot(loaded: LoadedConfig, { file, passphrase }: RootKey, lost?: string): RotatedKey {
  const { config } = loaded;
  checkPlace(loaded, file);
  assertNotRunning(dataDir(config.dataDir));
  if (lost !== undefined) ensureKey(loaded, { isAnew: true });
  const { from, to, root } = rotateByRoot({ path: file, passphrase }, keyAccessOf(loaded), lost);
  return {
    name: config.name,
    peerId: to.id,
    fingerprint: fingerprintWords(to.id),
    root: fingerprintWords(root.id),
    line: formatKeyLine(to, config.name),
    keyPath: config.net.keyPath,
    former: { peerId: from.id, fingerprint: fingerprintWords(from.id) },
  };
}

/** Whether somebody has to be asked for the passphrase of a root; false where there is no file. @throws SkeinError `denied`. */
export function needsRootPassphrase({ file, passphrase }: RootKey): boolean {
  return passphrase === undefined && isKeyFileEncrypted(file);
}

function keyAccessOf(loaded: LoadedConfig) {
  const { config } = loaded;
  return { path: config.net.keyPath, passphrase: keyPassphraseOf(loaded), name: config.name, nowMs: Date.now() };
}

/** Whoever steals the node must not have the root with it. @throws SkeinError `invalid`. */
function checkPlace({ config: { dataDir: root, net } }: LoadedConfig, file: string): void {
  const place = realPlace(file);
  for (const own of [root, path.dirname(net.keyPath)].map(realPlace)) {
    const relative = path.relative(own, place);
    if (relative.startsWith('..') || path.isAbsolute(relative)) continue;
    throw new SkeinError(
      `${file} is where this node keeps its own key (${own}); a root key is kept off the node, on a stick or another machine`,
      { code: 'invalid' },
    );
  }
}

/** Where a file is or would be, links followed. */
function realPlace(file: string): string {
  const full = path.resolve(file);
  const parent = path.dirname(full);
  return existsSync(full) || parent === full ? realpathSync(full) : path.join(realPlace(parent), path.basename(full));
}
