import { randomBytes } from 'node:crypto';
import { linkSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { createIdentity, formatIdentity, type Identity, parseIdentity, SkeinError } from '@skein/protocol';
import { ensureDirectory, isErrno, readOwnFile, syncDirectory, writeFileDurable } from './files.ts';

const KEY_FILE_BYTES_MAX = 16 * 1024;

/**
 * The identity in a key file, PKCS#8 PEM.
 * @throws SkeinError `not-found`, `denied` when others may read the file (with the chmod to run), `corrupt`.
 */
export function loadIdentity(path: string): Identity {
  const pem = readOwnFile(path, { maxBytes: KEY_FILE_BYTES_MAX, secret: true });
  if (pem === undefined) {
    throw new SkeinError(`There is no key file ${path}; make one with: skein net init <name>`, { code: 'not-found' });
  }
  try {
    return parseIdentity(pem);
  } catch (cause) {
    const { message } = SkeinError.from(cause);
    throw new SkeinError(
      `${path}: ${message}. It is left as it is: restore it from a copy, or move it away to begin with a new identity that the other nodes must trust anew`,
      { code: 'corrupt', cause },
    );
  }
}

/**
 * Makes an identity and its key file, mode 0600.
 * @throws SkeinError `conflict` when there is a file, which is never written over.
 */
export function createIdentityFile(path: string): Identity {
  ensureDirectory(dirname(path));
  const identity = createIdentity();
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeFileDurable(temporary, formatIdentity(identity));
    // A link, not a rename: it fails where a file is, and the file is whole the moment it is there.
    linkSync(temporary, path);
  } catch (cause) {
    if (!isErrno(cause, 'EEXIST')) throw cause;
    throw new SkeinError(`${path} is there already and is not written over; move it away to begin with a new identity`, {
      code: 'conflict',
      cause,
    });
  } finally {
    rmSync(temporary, { force: true });
  }
  syncDirectory(dirname(path));
  return identity;
}

/** The identity in the file; where there is no file, a new one. A file that is wrong is an error, not replaced. */
export function loadOrCreateIdentity(path: string): Identity {
  try {
    return loadIdentity(path);
  } catch (error) {
    if (!(error instanceof SkeinError && error.code === 'not-found')) throw error;
    return createIdentityFile(path);
  }
}
