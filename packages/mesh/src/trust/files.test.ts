import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readOwnFile, withFileLock, writeFileAtomic } from './files.ts';

function openDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-files-'));
  return { directory, path: join(directory, 'file'), [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

describe('a file', () => {
  it('is replaced at once, with mode 0600, leaving nothing else behind', () => {
    using place = openDirectory();
    writeFileAtomic(place.path, 'one');
    writeFileAtomic(place.path, 'two');
    expect(readFileSync(place.path, 'utf8')).toBe('two');
    expect(statSync(place.path).mode & 0o777).toBe(0o600);
    expect(readdirSync(place.directory)).toEqual(['file']);
  });

  it('is refused when it is larger than it may be', () => {
    using place = openDirectory();
    writeFileAtomic(place.path, 'x'.repeat(11));
    expect(() => readOwnFile(place.path, { maxBytes: 10, secret: true })).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    );
  });
});

describe('a lock', () => {
  it('is released after the change, also when that throws', () => {
    using place = openDirectory();
    expect(withFileLock(place.path, () => 1)).toBe(1);
    expect(() =>
      withFileLock(place.path, () => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(withFileLock(place.path, () => 2)).toBe(2);
  });

  it('of a process that is gone, or of one that stands still, is broken', () => {
    using place = openDirectory();
    writeFileSync(`${place.path}.lock`, '999999999');
    expect(withFileLock(place.path, () => 1)).toBe(1);
    writeFileSync(`${place.path}.lock`, String(process.pid));
    utimesSync(`${place.path}.lock`, new Date(0), new Date(0));
    expect(withFileLock(place.path, () => 2)).toBe(2);
  });

  it('left without a number, by one that was killed while it took it, is broken too', () => {
    using place = openDirectory();
    writeFileSync(`${place.path}.lock`, '');
    expect(withFileLock(place.path, () => 1)).toBe(1);
  });

  it('of a living process is waited for, then reported', () => {
    using place = openDirectory();
    writeFileSync(`${place.path}.lock`, String(process.pid));
    expect(() => withFileLock(place.path, () => 1)).toThrow(
      expect.objectContaining({ code: 'busy', message: expect.stringContaining(`remove ${place.path}.lock`) }),
    );
  });
});
