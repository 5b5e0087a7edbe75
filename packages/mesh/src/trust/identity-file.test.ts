import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createIdentityFile, loadIdentity, loadOrCreateIdentity } from './identity-file.ts';

function openDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-key-'));
  return {
    directory,
    path: join(directory, 'sub', 'node_key'),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

describe('a key file', () => {
  it('is made with mode 0600 in a directory of mode 0700, and gives the same identity again', () => {
    using place = openDirectory();
    const made = loadOrCreateIdentity(place.path);
    expect(statSync(place.path).mode & 0o777).toBe(0o600);
    expect(statSync(join(place.directory, 'sub')).mode & 0o777).toBe(0o700);
    expect(loadOrCreateIdentity(place.path).id).toBe(made.id);
    expect(loadIdentity(place.path).id).toBe(made.id);
    expect(readdirSync(join(place.directory, 'sub'))).toEqual(['node_key']);
  });

  it('is never written over', () => {
    using place = openDirectory();
    const { id } = createIdentityFile(place.path);
    expect(() => createIdentityFile(place.path)).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(loadIdentity(place.path).id).toBe(id);
    expect(readdirSync(join(place.directory, 'sub'))).toEqual(['node_key']);
  });

  it.each([0o640, 0o604, 0o644, 0o660])('of mode %o is refused with the command to run', (mode) => {
    using place = openDirectory();
    createIdentityFile(place.path);
    chmodSync(place.path, mode);
    expect(() => loadOrCreateIdentity(place.path)).toThrow(
      expect.objectContaining({ code: 'denied', message: expect.stringContaining(`chmod 600 ${place.path}`) }),
    );
  });

  it.each([
    ['empty', () => ''],
    ['cut', (pem: string) => pem.slice(0, 60)],
    ['with a changed letter', (pem: string) => pem.replace('MC4CAQ', 'MC4CAR')],
    ['junk', () => 'junk'],
  ])('that is %s is an error and stays as it is', (_title, damage) => {
    using place = openDirectory();
    createIdentityFile(place.path);
    const damaged = damage(readFileSync(place.path, 'utf8'));
    writeFileSync(place.path, damaged);
    expect(() => loadOrCreateIdentity(place.path)).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(place.path) }),
    );
    expect(readFileSync(place.path, 'utf8')).toBe(damaged);
  });

  it('that is not there says how to make one', () => {
    using place = openDirectory();
    expect(() => loadIdentity(place.path)).toThrow(
      expect.objectContaining({ code: 'not-found', message: expect.stringContaining('skein net init') }),
    );
  });
});
