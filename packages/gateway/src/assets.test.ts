import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { assetResponse, readAssets } from './assets.ts';

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'skein-assets-'));
  await mkdir(join(path, 'assets'));
  await writeFile(join(path, 'index.html'), '<title>page</title>');
  await writeFile(join(path, 'assets', 'page-1.js'), 'export {};');
  await writeFile(join(path, 'assets', 'notes.secret'), 'unknown type');
  return { path, url: pathToFileURL(`${path}/`), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe('readAssets', () => {
  it('finds the page under / and its files under their paths, nothing of an unknown type', async () => {
    await using dir = await folder();
    const assets = await readAssets(dir.url);
    expect([...assets.keys()].sort()).toEqual(['/', '/assets/page-1.js']);
    expect(assets.get('/')?.immutable).toBe(false);
    expect(assets.get('/assets/page-1.js')?.immutable).toBe(true);
  });

  it('follows no link out of the folder', async () => {
    await using dir = await folder();
    await symlink('/etc', join(dir.path, 'etc'));
    await symlink('/etc/hostname', join(dir.path, 'assets', 'host.js'));
    expect((await readAssets(dir.url)).size).toBe(2);
  });

  it('is empty for a folder that is not there', async () => {
    expect((await readAssets(new URL('file:///no/such/folder/'))).size).toBe(0);
  });

  it('refuses a folder that cannot be the page', async () => {
    await using dir = await folder();
    await writeFile(join(dir.path, 'huge.js'), Buffer.alloc(17 * 1024 * 1024));
    await expect(readAssets(dir.url)).rejects.toMatchObject({ code: 'too-large' });
  });
});

describe('assetResponse', () => {
  it.each([
    ['gzip, deflate, br', true],
    ['gzip;q=0.5', true],
    ['gzip;q=0', false],
    ['identity', false],
    ['', false],
  ])('for Accept-Encoding "%s" is compressed: %s', async (accepted, compressed) => {
    await using dir = await folder();
    const asset = (await readAssets(dir.url)).get('/');
    if (asset === undefined) throw new Error('no page');
    const response = assetResponse(asset, new Request('http://x/', { headers: { 'accept-encoding': accepted } }));
    const body = Buffer.from(await response.arrayBuffer());
    expect(response.headers.get('content-encoding')).toBe(compressed ? 'gzip' : null);
    expect(String(compressed ? gunzipSync(body) : body)).toBe('<title>page</title>');
  });
});
