import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { buildPage } from './scripted-node.ts';

/** Builds the page once for the tests of a file; the folder is there while they run. */
export function usePageFolder(): () => URL {
  let folder = '';
  let url: URL | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skein-page-'));
    url = await buildPage(folder);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return () => {
    if (url === undefined) throw new Error('The page is built before the tests, not before they are described');
    return url;
  };
}
