import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { withLock } from './lock.mjs';
import { SetUpError, setUp } from './set-up.mjs';

/** A project of one local package whose install and page build leave a line each; it needs no network. */
function project() {
  const root = mkdtempSync(path.join(os.tmpdir(), 'skein-set-up-'));
  const write = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  };
  const log = (line: string) => `node -e "fs.appendFileSync('${path.join(root, 'log')}', '${line} ')"`;
  const page = {
    name: '@skein/dashboard',
    version: '1.0.0',
    scripts: { build: `${log('build')} && mkdir -p dist && cp index.html dist/` },
  };
  const top = { name: 'top', version: '1.0.0', workspaces: ['packages/*'], scripts: { postinstall: log('install') } };
  write('package.json', JSON.stringify(top));
  write('packages/dashboard/package.json', JSON.stringify(page));
  write('packages/dashboard/index.html', 'one');
  write('packages/dashboard/src/main.ts', '');
  const packages = {
    '': top,
    'packages/dashboard': { name: page.name, version: page.version },
    'node_modules/@skein/dashboard': { resolved: 'packages/dashboard', link: true },
  };
  write('package-lock.json', JSON.stringify({ name: 'top', version: '1.0.0', lockfileVersion: 3, requires: true, packages }));
  return {
    root,
    write,
    done: () => (existsSync(path.join(root, 'log')) ? readFileSync(path.join(root, 'log'), 'utf8').trim() : ''),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

test('a fresh clone is installed and its page built, and a second start does neither', async () => {
  using place = project();
  await setUp({ root: place.root, page: true });
  expect(place.done()).toBe('install build');
  await setUp({ root: place.root, page: true });
  expect(place.done()).toBe('install build');
});

test('two at the same time install once', async () => {
  using place = project();
  await Promise.all([1, 2, 3].map(() => setUp({ root: place.root, page: false })));
  expect(place.done()).toBe('install');
});

test('a package that is gone, or a lock file that names another, is installed again', async () => {
  using place = project();
  await setUp({ root: place.root, page: false });
  rmSync(path.join(place.root, 'node_modules'), { recursive: true });
  await setUp({ root: place.root, page: false });
  expect(place.done()).toBe('install install');
});

test('what npm itself has installed as locked is not installed again', async () => {
  using place = project();
  await setUp({ root: place.root, page: false });
  rmSync(path.join(place.root, 'node_modules', '.skein-setup'));
  await setUp({ root: place.root, page: false });
  expect(place.done()).toBe('install');
});

test('the page is built again when a source is newer, or one is gone', async () => {
  using place = project();
  await setUp({ root: place.root, page: true });
  const later = new Date(Date.now() + 10_000);
  utimesSync(path.join(place.root, 'packages/dashboard/src/main.ts'), later, later);
  await setUp({ root: place.root, page: true });
  expect(place.done()).toBe('install build build');
  const now = new Date();
  utimesSync(path.join(place.root, 'packages/dashboard/src/main.ts'), now, now);
  utimesSync(path.join(place.root, 'packages/dashboard/dist/index.html'), later, later);
  rmSync(path.join(place.root, 'packages/dashboard/src/main.ts'));
  utimesSync(path.join(place.root, 'packages/dashboard/src'), new Date(Date.now() + 20_000), new Date(Date.now() + 20_000));
  await setUp({ root: place.root, page: true });
  expect(place.done()).toBe('install build build build');
});

test('a failed install shows what npm said and what to do, and is tried again next time', async () => {
  using place = project();
  const lock = readFileSync(path.join(place.root, 'package-lock.json'), 'utf8');
  place.write('package-lock.json', '{');
  const failure = setUp({ root: place.root, page: false });
  await expect(failure).rejects.toThrow(SetUpError);
  await expect(failure).rejects.toThrow(/npm error[\s\S]*Installing packages failed\. Try once more/);
  place.write('package-lock.json', lock);
  await setUp({ root: place.root, page: false });
  expect(place.done()).toBe('install');
});

test('a lock whose owner died is taken over, by one at a time', async () => {
  using place = project();
  const file = path.join(place.root, 'lock');
  // Above every process number a system gives.
  writeFileSync(file, '99999999');
  const order: string[] = [];
  const hold = (name: string) =>
    withLock(
      file,
      async () => {
        order.push(`${name} in`);
        await new Promise(setImmediate);
        order.push(`${name} out`);
      },
      { onWait: () => appendFileSync(path.join(place.root, 'waited'), name) },
    );
  await Promise.all([hold('a'), hold('b')]);
  expect(order).toHaveLength(4);
  expect(order[0]?.slice(0, 1)).toBe(order[1]?.slice(0, 1));
  expect(existsSync(file)).toBe(false);
});
