import { open } from 'node:fs/promises';
import { SkeinError } from '@skein/protocol';

const MAX_KEY_BYTES = 4_096;

/**
 * The key a file holds, without the space around it.
 * @throws SkeinError `not-found`, `denied` when others may read it, `invalid` when it holds no key.
 */
export async function readKeyFile(path: string): Promise<string> {
  await using file = await open(path, 'r').catch(() => {
    throw new SkeinError(`The key file ${path} cannot be read`, { code: 'not-found' });
  });
  const { mode, size } = await file.stat();
  // Windows has no such modes; there the folder's rights protect it.
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new SkeinError(`The key file ${path} may be read by others: run chmod 600 on it`, { code: 'denied' });
  }
  if (size > MAX_KEY_BYTES) throw new SkeinError(`The key file ${path} is too large to be a key`, { code: 'invalid' });
  const key = (await file.readFile('utf8')).trim();
  if (key === '') throw new SkeinError(`The key file ${path} is empty`, { code: 'invalid' });
  return key;
}
