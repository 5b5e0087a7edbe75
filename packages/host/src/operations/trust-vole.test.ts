import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseVoleLine } from '@skein/dialects';
import { SpecVole } from '@skein/testing';
import { expect, test } from 'vitest';
import { dataDir } from '../data-dir.ts';
import { listTrusted, trustPeer } from './trust-peer.ts';

function folder() {
  const root = mkdtempSync(path.join(os.tmpdir(), 'skein-trust-'));
  return { dir: dataDir(root), [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

test('a line of VoleNet whose name has spaces is trusted by a name that fits, with its ML-DSA key', async () => {
  using at = folder();
  const { line } = new SpecVole({ name: 'my vole', modern: true });
  expect(trustPeer(at.dir, line, { trust: 'tool' })).toMatchObject({ name: 'my-vole', trust: 'tool' });
  const [, key = ''] = line.split(' ');
  expect(trustPeer(at.dir, `vole-ed25519 ${key} my other vole`, {})).toMatchObject({ name: 'my-other-vole', trust: 'tool' });
  expect(await listTrusted(at.dir)).toHaveLength(1);
  expect(parseVoleLine(line)).toMatchObject({ name: 'my-vole', mlDsa: line.split(' ').at(-1) });
});

test('options of ours behind such a line are read as such, and wrong ones are told', () => {
  using at = folder();
  const { line } = new SpecVole({ name: 'plain' });
  expect(trustPeer(at.dir, `${line} trust=full,voter`, {})).toMatchObject({ name: 'plain', trust: 'full', voter: true });
  expect(() => trustPeer(at.dir, `${line} trust=ful`, {})).toThrow('trust=ful is not one of');
});
