import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createIdentity, formatIdentity } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { loadVoleKeys, publicHalf, readAuthorizedVoles, readVoleKeys } from './keys.ts';
import { formatVoleLine, spkiBase64 } from './vole-id.ts';

function folder() {
  const directory = mkdtempSync(path.join(tmpdir(), 'vole-keys-'));
  const write = (name: string, text: string) => {
    writeFileSync(path.join(directory, name), text, { mode: 0o600 });
    return path.join(directory, name);
  };
  return { directory, write, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

describe('the keys of the dialect', () => {
  it('are made once, for their owner alone, and are the same from then on', () => {
    using at = folder();
    const made = loadVoleKeys(at.directory);
    const again = loadVoleKeys(at.directory);
    for (const name of ['x25519', 'mlKem', 'mlDsa'] as const) {
      expect(spkiBase64(publicHalf(again[name]))).toBe(spkiBase64(publicHalf(made[name])));
    }
    const modes = readdirSync(at.directory).map((name) => statSync(path.join(at.directory, name)).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });

  it('are refused where others may read them, and left as they are where they are damaged', () => {
    using at = folder();
    loadVoleKeys(at.directory);
    chmodSync(path.join(at.directory, 'vole-x25519.pem'), 0o644);
    expect(() => loadVoleKeys(at.directory)).toThrow('chmod 600');
    at.write('vole-ml-dsa-65.pem', 'damaged');
    chmodSync(path.join(at.directory, 'vole-x25519.pem'), 0o600);
    expect(() => loadVoleKeys(at.directory)).toThrow('vole-ml-dsa-65.pem holds no private key');
  });
});

describe('a folder of VoleNet', () => {
  it('is read as an identity with what other keys it has', () => {
    using at = folder();
    expect(readVoleKeys(at.directory)).toBeUndefined();
    const identity = createIdentity();
    at.write('vole_key', formatIdentity(identity));
    at.write('vole_key.pub', `${formatVoleLine(identity, 'old')}\n`);
    expect(readVoleKeys(at.directory)).toMatchObject({ name: 'old', identity: { id: identity.id }, mlDsa: undefined });
    const more = loadVoleKeys(path.join(at.directory, 'more'));
    at.write('vole_key.pq', more.mlDsa.export({ type: 'pkcs8', format: 'pem' }).toString());
    at.write('vole_key.x25519', more.x25519.export({ type: 'pkcs8', format: 'pem' }).toString());
    at.write('vole_key.mlkem', more.mlKem.export({ type: 'pkcs8', format: 'pem' }).toString());
    const all = readVoleKeys(at.directory);
    expect([all?.mlDsa, all?.x25519, all?.mlKem].map((key) => key?.asymmetricKeyType)).toEqual([
      'ml-dsa-65',
      'x25519',
      'ml-kem-768',
    ]);
  });

  it('says whom it trusts: the later of two lines for a key, and which lines it cannot read', () => {
    using at = folder();
    const [one, two] = [createIdentity(), createIdentity()];
    const { mlDsa } = loadVoleKeys(path.join(at.directory, 'keys'));
    const file = at.write(
      'authorized_voles',
      [
        '# friends',
        '',
        formatVoleLine(one, 'first'),
        `${formatVoleLine(one, 'second')} ${spkiBase64(publicHalf(mlDsa))}`,
        'vole-ed25519 rubbish name',
        `${formatVoleLine(two, 'x').split(' ').slice(0, 2).join(' ')} Büro-Küche`,
      ].join('\n'),
    );
    const { lines, skipped } = readAuthorizedVoles(file);
    expect(lines.map(({ name, mlDsa: pq }) => [name, pq !== undefined])).toEqual([
      ['second', true],
      ['B-ro-K-che', false],
    ]);
    expect(skipped.map(({ line }) => line)).toEqual([5]);
    expect(readAuthorizedVoles(path.join(at.directory, 'none'))).toEqual({ lines: [], skipped: [] });
  });
});
