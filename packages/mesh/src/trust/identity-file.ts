import { randomBytes } from 'node:crypto';
import { linkSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  createIdentity,
  formatEncryptedIdentity,
  formatIdentity,
  type Identity,
  isEncryptedKey,
  type PeerId,
  parseIdentity,
  readRotation,
  SkeinError,
  signRotation,
} from '@skein/protocol';
import {
  drop,
  ensureDirectory,
  isErrno,
  onDisk,
  readOwnFile,
  syncDirectory,
  withFileLock,
  writeFileAtomic,
  writeFileDurable,
} from './files.ts';
import { currentRoot, formatHistory, type KeyHistory, keysOf, parseHistory, readHistory, withRotation } from './key-history.ts';

const KEY_FILE_BYTES_MAX = 16 * 1024;
/** Characters of a passphrase: a disk in other hands is guessed at for as long as somebody likes. */
const PASSPHRASE_MIN = 12;
const PASSPHRASE_MAX = 1_000;

/** What is in a key file. One file, so that a rotation is whole or did not happen. */
export interface KeyFile extends KeyHistory {
  readonly identity: Identity;
  readonly encrypted: boolean;
}

/**
 * Reads a key file: PKCS#8 PEM, and behind it the rotations.
 * @throws SkeinError `not-found`, `denied` when others may read the file (with the chmod to run), `corrupt`,
 * `unauthenticated` for a passphrase that is missing or wrong.
 */
export function loadKeyFile(path: string, passphrase?: string): KeyFile {
  const text = readKeyFile(path);
  const encrypted = isEncryptedKey(text);
  try {
    const identity = parseIdentity(text, passphrase);
    return { identity, ...parseHistory(text, identity.id), encrypted };
  } catch (cause) {
    const { message, code } = SkeinError.from(cause);
    if (encrypted && code === 'unauthenticated') {
      throw new SkeinError(
        `${path}: ${message}. Put it into a file of mode 0600 and name that in net.keyPassphraseFile, or run the command on a terminal, which asks`,
        { code, cause },
      );
    }
    throw new SkeinError(
      `${path}: ${message}. It is left as it is: restore it from a copy, or move it away to begin with a new identity that the other nodes must trust anew`,
      { code: 'corrupt', cause },
    );
  }
}

/** The identity in a key file. @throws SkeinError as `loadKeyFile`. */
export function loadIdentity(path: string, passphrase?: string): Identity {
  return loadKeyFile(path, passphrase).identity;
}

/**
 * The ids of the key in a key file and of those before it; none where there is no file. Of an encrypted one that is not
 * opened, what its rotations tell. @throws SkeinError as `loadKeyFile`.
 */
export function keyIdsOf(path: string, passphrase?: string): readonly PeerId[] {
  const text = readOwnFile(path, { maxBytes: KEY_FILE_BYTES_MAX, secret: true });
  if (text === undefined) return [];
  if (isEncryptedKey(text) && passphrase === undefined) {
    return readHistory(text).rotations.flatMap((rotation) => {
      const { from, to } = readRotation(rotation);
      return [from.id, to.id];
    });
  }
  const file = loadKeyFile(path, passphrase);
  return keysOf(file, file.identity.id);
}

/** Whether a key file needs a passphrase; false where there is no file. @throws SkeinError `denied`. */
export function isKeyFileEncrypted(path: string): boolean {
  return isEncryptedKey(readOwnFile(path, { maxBytes: KEY_FILE_BYTES_MAX, secret: true }) ?? '');
}

/**
 * Makes an identity and its key file, mode 0600.
 * @throws SkeinError `conflict` when there is a file, which is never written over; `invalid` for a passphrase that will not do.
 */
export function createIdentityFile(path: string, passphrase?: string): Identity {
  checkPassphrase(passphrase);
  ensureDirectory(dirname(path));
  const identity = createIdentity();
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeFileDurable(temporary, formatKey(identity, passphrase));
    // A link, not a rename: it fails where a file is, and the file is whole the moment it is there.
    onDisk(path, () => linkSync(temporary, path));
  } catch (cause) {
    if (!isErrno(cause, 'EEXIST')) throw cause;
    throw new SkeinError(`${path} is there already and is not written over; move it away to begin with a new identity`, {
      code: 'conflict',
      cause,
    });
  } finally {
    drop(temporary);
  }
  try {
    syncDirectory(dirname(path));
  } catch (error) {
    // Taken back: the next try would find it there, use it, and lose it in a power cut.
    drop(path);
    throw error;
  }
  return identity;
}

/** What is in the file; where there is no file, a new identity. A file that is wrong is an error, not replaced. */
export function loadOrCreateKeyFile(path: string, passphrase?: string): KeyFile {
  try {
    return loadKeyFile(path, passphrase);
  } catch (error) {
    if (!(error instanceof SkeinError && error.code === 'not-found')) throw error;
    return { identity: createIdentityFile(path, passphrase), rotations: [], roots: [], encrypted: passphrase !== undefined };
  }
}

/** The identity in the file, or a new one, as `loadOrCreateKeyFile`. */
export function loadOrCreateIdentity(path: string, passphrase?: string): Identity {
  return loadOrCreateKeyFile(path, passphrase).identity;
}

/**
 * Puts a new key into a key file, under the same passphrase, with the rotation that the old key and the new one signed.
 * The old private key is gone then. At once: a crash leaves the file as it was or as it is to be.
 * @throws SkeinError `conflict` for a key that has a root, as `loadKeyFile`, `busy`.
 */
export function rotateKeyFile(
  path: string,
  { passphrase, nowMs }: { readonly passphrase: string | undefined; readonly nowMs: number },
): { readonly from: Identity; readonly to: Identity } {
  return withFileLock(path, () => {
    const loaded = loadKeyFile(path, passphrase);
    if (currentRoot(loaded) !== undefined) {
      throw new SkeinError(
        'The key of this node has a root, without which peers take no other for it: skein net rotate-key --root FILE',
        { code: 'conflict' },
      );
    }
    const { identity: from } = loaded;
    const to = createIdentity();
    const history = withRotation(loaded, signRotation(from, to, nowMs));
    writeKeyFile(path, { ...loaded, identity: to, ...history }, passphrase);
    return { from, to };
  });
}

/**
 * Sets, changes or, without `to`, removes the passphrase of a key file.
 * @throws SkeinError as `loadKeyFile`; `invalid` for a passphrase of fewer than 12 characters.
 */
export function changePassphrase(
  path: string,
  { from, to }: { readonly from: string | undefined; readonly to: string | undefined },
): void {
  checkPassphrase(to);
  withFileLock(path, () => {
    writeKeyFile(path, { ...loadKeyFile(path, from), encrypted: to !== undefined }, to);
  });
}

/** Replaces a key file at once; encrypted, where it is, with this passphrase. Call it under the file's lock. */
export function writeKeyFile(path: string, file: KeyFile, passphrase: string | undefined): void {
  const { identity, encrypted } = file;
  writeFileAtomic(path, formatKey(identity, encrypted ? passphrase : undefined) + formatHistory(file));
}

/**
 * A passphrase from a file that only its owner may read: its first line.
 * @throws SkeinError `not-found`, `denied`, `invalid` for an empty one.
 */
export function readPassphraseFile(path: string): string {
  const text = readOwnFile(path, { maxBytes: 4 * PASSPHRASE_MAX, secret: true });
  if (text === undefined) throw new SkeinError(`There is no passphrase file ${path}`, { code: 'not-found' });
  const [line = ''] = text.split(/\r?\n/, 1);
  if (line === '') throw new SkeinError(`The passphrase file ${path} has an empty first line`, { code: 'invalid' });
  return line;
}

function readKeyFile(path: string): string {
  const text = readOwnFile(path, { maxBytes: KEY_FILE_BYTES_MAX, secret: true });
  if (text !== undefined) return text;
  throw new SkeinError(`There is no key file ${path}; make one with: skein net init <name>`, { code: 'not-found' });
}

function formatKey(identity: Identity, passphrase: string | undefined): string {
  return passphrase === undefined ? formatIdentity(identity) : formatEncryptedIdentity(identity, passphrase);
}

/** @throws SkeinError `invalid` for a passphrase that is too short or too long; none at all is good. */
export function checkPassphrase(passphrase: string | undefined): void {
  if (passphrase === undefined || (passphrase.length >= PASSPHRASE_MIN && passphrase.length <= PASSPHRASE_MAX)) return;
  throw new SkeinError(`A passphrase has ${PASSPHRASE_MIN} to ${PASSPHRASE_MAX} characters, not ${passphrase.length}`, {
    code: 'invalid',
  });
}
