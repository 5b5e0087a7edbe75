import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { SkeinError } from '@skein/protocol';

/** One file of the page. */
export interface Asset {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer> | null;
  readonly type: string;
  readonly etag: string;
  /** Its name holds a hash of its content, so it may be kept for ever. */
  readonly immutable: boolean;
}

/** The page's files by URL path, `/` being the page itself. Only what is in here can be asked for. */
export type Assets = ReadonlyMap<string, Asset>;

const MAX_FILES = 200;
const MAX_BYTES = 16 * 1024 * 1024;

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  woff2: 'font/woff2',
  webmanifest: 'application/manifest+json',
};

const compress = promisify(gzip);

/**
 * Reads a folder of built files into memory: a request is a look-up by name and never reaches the disk. Links and
 * unknown file types are left out; a folder that is not there is an empty page.
 * @throws SkeinError `too-large` for more than 200 files or 16 MiB.
 */
export async function readAssets(folder: URL): Promise<Assets> {
  const root = fileURLToPath(folder);
  const assets = new Map<string, Asset>();
  let bytesInAll = 0;
  for (const file of await filesIn(root)) {
    const type = TYPES[file.name.slice(file.name.lastIndexOf('.') + 1)];
    if (!file.isFile() || type === undefined) continue;
    const path = `${file.parentPath.slice(root.length).replaceAll('\\', '/').replace(/^\//, '')}/${file.name}`.replace(
      /^\//,
      '',
    );
    const bytes = new Uint8Array(await readFile(`${file.parentPath}/${file.name}`));
    bytesInAll += bytes.byteLength;
    if (assets.size >= MAX_FILES || bytesInAll > MAX_BYTES) {
      throw new SkeinError(`${root} holds more than ${MAX_FILES} files or ${MAX_BYTES} bytes: not the page`, {
        code: 'too-large',
      });
    }
    assets.set(path === 'index.html' ? '/' : `/${path}`, {
      bytes,
      gzipped: type.startsWith('text/') || type === 'image/svg+xml' ? new Uint8Array(await compress(bytes)) : null,
      type,
      etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
      immutable: path.startsWith('assets/'),
    });
  }
  return assets;
}

async function filesIn(root: string) {
  try {
    return await readdir(root, { recursive: true, withFileTypes: true });
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return [];
    throw thrown;
  }
}

/** The answer to a GET of one asset: from the cache, compressed or whole. */
export function assetResponse(asset: Asset, request: Request): Response {
  const headers: Record<string, string> = {
    'Content-Type': asset.type,
    ETag: asset.etag,
    Vary: 'Accept-Encoding',
    'Cache-Control': asset.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
  };
  if (request.headers.get('if-none-match') === asset.etag) return new Response(null, { status: 304, headers });
  const takesGzip = /(?:^|,)\s*gzip\s*(?:$|,|;(?!\s*q=0(?:\.0*)?\s*(?:$|,)))/i.test(
    request.headers.get('accept-encoding') ?? '',
  );
  if (asset.gzipped === null || !takesGzip) {
    return new Response(asset.bytes, { headers: { ...headers, 'Content-Length': String(asset.bytes.byteLength) } });
  }
  return new Response(asset.gzipped, {
    headers: { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': String(asset.gzipped.byteLength) },
  });
}
