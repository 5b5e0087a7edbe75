import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, realpath, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { rejection, temporaryFolder, toolContext } from '../../test/tool-fixture.ts';
import { containsPath } from './jail.ts';
import { createListFiles } from './list-files.ts';
import { createReadFile } from './read-file.ts';
import { createWriteFile } from './write-file.ts';

/** A root with files, a hidden folder, links out of it, and a folder beside it whose name begins alike. */
async function place() {
  const folder = await temporaryFolder();
  const root = join(folder.path, 'proj');
  await mkdir(join(root, 'sub/deep'), { recursive: true });
  await mkdir(join(root, '.skein'));
  await mkdir(join(folder.path, 'proj-x'));
  await writeFile(join(root, 'a.txt'), 'one\ntwo\nthree\n');
  await writeFile(join(root, 'sub/b.txt'), 'sub\n');
  await writeFile(join(root, '.skein/node.key'), 'SECRET');
  await writeFile(join(folder.path, 'proj-x/secret'), 'SECRET');
  await symlink('/', join(root, 'to-slash'));
  await symlink('../proj-x', join(root, 'to-sibling'));
  await symlink('../proj-x/secret', join(root, 'to-secret'));
  await symlink('../proj-x/new', join(root, 'to-nothing'));
  await symlink('.skein', join(root, 'to-hidden'));
  await symlink('sub', join(root, 'to-sub'));
  await symlink('loop', join(root, 'loop'));
  const options = { root, hidden: [join(root, '.skein')] };
  return {
    root,
    outside: join(folder.path, 'proj-x'),
    read: (input: object) => createReadFile(options).run(input, toolContext()),
    write: (input: object) => createWriteFile(options).run(input, toolContext()),
    list: (input: object) => createListFiles(options).run(input, toolContext()),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** Each leads outside the root or to something hidden, in one way or another. */
const FORBIDDEN_PATHS = [
  '..',
  '../proj-x/secret',
  '../proj-x',
  'sub/../../proj-x/secret',
  './././../proj-x/secret',
  'missing/../../proj-x/secret',
  '/etc/passwd',
  '/etc/shadow',
  '//etc/passwd',
  '/proc/self/environ',
  '/proc/self/root/etc/passwd',
  'to-slash/etc/passwd',
  'to-slash/proc/self/environ',
  'to-sibling/secret',
  'to-secret',
  'to-nothing',
  'to-sibling/new/file',
  'to-hidden/node.key',
  '.skein',
  '.skein/node.key',
  './.skein/../.skein/node.key',
  'sub/../.skein/new',
  'loop',
];

/** Not a path, or a name that only looks like a way out; nothing is decoded or normalised. */
const HARMLESS_PATHS = [
  '%2e%2e/proj-x/secret',
  '..%2fproj-x%2fsecret',
  '‥/proj-x/secret',
  '．．/proj-x/secret',
  '..\\proj-x\\secret',
  '..∕proj-x∕secret',
  '~/.ssh/id_ed25519',
  '.ske\u0131n/node.key',
  '.skeín/node.key',
  'file:///etc/passwd',
];

describe.each(['read', 'write', 'list'] as const)('%s', (verb) => {
  const extra = verb === 'write' ? { content: 'ATTACK' } : {};

  test.each(FORBIDDEN_PATHS)('does not go to %j', async (path) => {
    await using where = await place();
    expect((await rejection(where[verb]({ path, ...extra }))).code).toBe('denied');
    expect(await readdir(where.outside)).toEqual(['secret']);
    expect(await readdir(join(where.root, '.skein'))).toEqual(['node.key']);
  });

  test.each(HARMLESS_PATHS)('takes %j as the plain name it is', async (path) => {
    await using where = await place();
    if (verb === 'write') {
      expect(await where.write({ path, content: 'x' })).toMatchObject({ created: true });
      expect(containsPath(where.root, await realpath(join(where.root, path)))).toBe(true);
    } else {
      expect((await rejection(where[verb]({ path }))).code).toBe('not-found');
    }
    expect(await readFile(join(where.root, '.skein/node.key'), 'utf8')).toBe('SECRET');
    expect(await readFile(join(where.outside, 'secret'), 'utf8')).toBe('SECRET');
  });

  test.each(['', '\0', 'a.txt\0.png', '../proj-x/secret\0', 'x'.repeat(5_000), `${'x'.repeat(300)}/y`])(
    'finds %j invalid',
    async (path) => {
      await using where = await place();
      expect((await rejection(where[verb]({ path, ...extra }))).code).toBe('invalid');
    },
  );

  test('says plainly that its root is missing', async () => {
    await using where = await place();
    const create = { read: createReadFile, write: createWriteFile, list: createListFiles }[verb];
    const tool = create({ root: join(where.root, 'no-such-root') });
    const error = await rejection(tool.run({ path: 'a', ...extra }, toolContext()));
    expect(error).toMatchObject({ code: 'not-found', message: expect.stringContaining('tools.root') });
  });
});

test('a root of / still hides what belongs to other processes', async () => {
  const error = await rejection(createReadFile({ root: '/' }).run({ path: '/proc/self/environ' }, toolContext()));
  expect(error.code).toBe('denied');
});

describe('read_file', () => {
  test.each([
    [{}, 'one\ntwo\nthree\n', false],
    [{ offset: 1 }, 'two\nthree\n', false],
    [{ offset: 1, limit: 1 }, 'two\n', false],
    [{ limit: 2 }, 'one\ntwo\n', false],
    [{ offset: 9 }, '', false],
    [{ offset: -1 }, 'three\n', false],
    [{ offset: -2, limit: 1 }, 'two\n', false],
    [{ offset: -9 }, 'one\ntwo\nthree\n', false],
    [{ unit: 'bytes', offset: 4, limit: 3 }, 'two', false],
    [{ unit: 'bytes', offset: -6 }, 'three\n', false],
    [{ unit: 'bytes', offset: 99 }, '', false],
  ])('with %j returns the part asked for', async (range, content, truncated) => {
    await using where = await place();
    expect(await where.read({ path: 'a.txt', ...range })).toMatchObject({ path: 'a.txt', sizeBytes: 14, content, truncated });
  });

  test('follows a link that stays inside', async () => {
    await using where = await place();
    expect(await where.read({ path: 'to-sub/b.txt' })).toMatchObject({ path: 'sub/b.txt', content: 'sub\n' });
  });

  test('returns no more than its bound, and says so', async () => {
    await using where = await place();
    await writeFile(join(where.root, 'big.txt'), 'line\n'.repeat(100_000));
    const tool = createReadFile({ root: where.root, maxReadBytes: 10 });
    const read = (range: object) => tool.run({ path: 'big.txt', ...range }, toolContext());
    expect(await read({})).toMatchObject({ content: 'line\nline\n', truncated: true, sizeBytes: 500_000 });
    expect(await read({ limit: 2 })).toMatchObject({ content: 'line\nline\n', truncated: false });
    expect(await read({ limit: 3 })).toMatchObject({ content: 'line\nline\n', truncated: true });
    expect(await read({ offset: 99_999 })).toMatchObject({ content: 'line\n', truncated: false });
    expect(await read({ offset: -3 })).toMatchObject({ content: 'line\nline\n', truncated: true });
    expect(await read({ unit: 'bytes', limit: 11 })).toMatchObject({ content: 'line\nline\n', truncated: true });
    expect(await read({ unit: 'bytes', offset: -10 })).toMatchObject({ content: 'line\nline\n', truncated: false });
  });

  test('does not halve characters at the ends of a range of bytes', async () => {
    await using where = await place();
    await writeFile(join(where.root, 'u.txt'), 'äöü€😀');
    expect(await where.read({ path: 'u.txt', unit: 'bytes', offset: 1, limit: 4 })).toMatchObject({ content: 'ö' });
    expect(await where.read({ path: 'u.txt', unit: 'bytes', offset: 6, limit: 6 })).toMatchObject({ content: '€' });
  });

  test('refuses a binary file as text and gives it as base64', async () => {
    await using where = await place();
    await writeFile(join(where.root, 'bin'), Buffer.from([1, 0, 2, 255]));
    expect((await rejection(where.read({ path: 'bin' }))).code).toBe('unsupported');
    expect(await where.read({ path: 'bin', unit: 'bytes', encoding: 'base64' })).toMatchObject({ content: 'AQAC/w==' });
    expect((await rejection(where.read({ path: 'bin', encoding: 'base64' }))).code).toBe('invalid');
  });

  test('refuses a folder, and a pipe without waiting for it', async () => {
    await using where = await place();
    expect((await rejection(where.read({ path: 'sub' }))).code).toBe('invalid');
    execFileSync('mkfifo', [join(where.root, 'pipe')]);
    expect((await rejection(where.read({ path: 'pipe' }))).code).toBe('denied');
  });

  test('stops when the caller does', async () => {
    await using where = await place();
    const tool = createReadFile({ root: where.root });
    expect((await rejection(tool.run({ path: 'a.txt', offset: 1 }, toolContext(AbortSignal.abort())))).code).toBe('canceled');
  });
});

describe('write_file', () => {
  test('makes the file and the folders it needs, and repeats to the same end', async () => {
    await using where = await place();
    expect(await where.write({ path: 'x/y/z.txt', content: 'é' })).toEqual({ path: 'x/y/z.txt', sizeBytes: 2, created: true });
    expect(await where.write({ path: 'x/y/z.txt', content: 'é' })).toEqual({ path: 'x/y/z.txt', sizeBytes: 2, created: false });
    expect(await readFile(join(where.root, 'x/y/z.txt'), 'utf8')).toBe('é');
    expect(await readdir(join(where.root, 'x/y'))).toEqual(['z.txt']);
  });

  test('keeps the mode of the file it replaces, without the bits that lend rights', async () => {
    await using where = await place();
    await chmod(join(where.root, 'a.txt'), 0o4750);
    await where.write({ path: 'a.txt', content: 'new' });
    expect((await stat(join(where.root, 'a.txt'))).mode & 0o7777).toBe(0o750);
  });

  test('writes bytes from base64', async () => {
    await using where = await place();
    await where.write({ path: 'bin', content: 'AQAC/w==', encoding: 'base64' });
    expect([...(await readFile(join(where.root, 'bin')))]).toEqual([1, 0, 2, 255]);
    expect((await rejection(where.write({ path: 'bin', content: 'no base64!', encoding: 'base64' }))).code).toBe('invalid');
  });

  test('writes through a link to a file inside, and leaves the link', async () => {
    await using where = await place();
    await symlink('a.txt', join(where.root, 'to-a'));
    expect(await where.write({ path: 'to-a', content: 'new' })).toMatchObject({ path: 'a.txt', created: false });
    expect(await readFile(join(where.root, 'a.txt'), 'utf8')).toBe('new');
  });

  test('refuses more than its bound, a folder in its place, and a file for a folder', async () => {
    await using where = await place();
    const tool = createWriteFile({ root: where.root, maxWriteBytes: 3 });
    expect((await rejection(tool.run({ path: 'x', content: 'éé' }, toolContext()))).code).toBe('too-large');
    expect((await rejection(where.write({ path: 'sub', content: '' }))).code).toBe('conflict');
    expect((await rejection(where.write({ path: '.', content: '' }))).code).toBe('invalid');
    expect((await rejection(where.write({ path: 'a.txt/x', content: '' }))).code).toBe('invalid');
    expect(await readFile(join(where.root, 'a.txt'), 'utf8')).toBe('one\ntwo\nthree\n');
  });

  test('a reader sees the old content or the new, never a part', async () => {
    await using where = await place();
    const [a, b] = ['a'.repeat(500_000), 'b'.repeat(500_000)];
    await where.write({ path: 'f', content: a });
    let writing = true;
    const writes = (async () => {
      for (let round = 0; round < 20; round += 1) await where.write({ path: 'f', content: round % 2 === 0 ? b : a });
      writing = false;
    })();
    let reads = 0;
    while (writing) {
      const content = await readFile(join(where.root, 'f'), 'utf8');
      expect(content === a || content === b).toBe(true);
      reads += 1;
    }
    await writes;
    expect(reads).toBeGreaterThan(5);
  });
});

describe('list_files', () => {
  test('tells types and sizes by name, without what is hidden, and follows no link', async () => {
    await using where = await place();
    const listing = await where.list({ depth: 5 });
    const names = [
      'a.txt',
      'loop',
      'sub',
      'to-hidden',
      'to-nothing',
      'to-secret',
      'to-sibling',
      'to-slash',
      'to-sub',
      'sub/b.txt',
      'sub/deep',
    ];
    expect(listing).toMatchObject({ path: '.', count: 11, truncated: false, entries: names.map((path) => ({ path })) });
    expect(listing).toMatchObject({
      entries: { 0: { type: 'file', sizeBytes: 14 }, 1: { type: 'link' }, 2: { type: 'folder' } },
    });
    expect(JSON.stringify(listing)).not.toContain('node.key');
  });

  test('goes as deep as asked', async () => {
    await using where = await place();
    await writeFile(join(where.root, 'sub/deep/c'), '');
    expect(await where.list({ path: 'sub', depth: 1 })).toMatchObject({ count: 2 });
    expect(await where.list({ path: 'sub', depth: 2 })).toMatchObject({ count: 3 });
    expect(await where.list({ path: 'to-sub' })).toMatchObject({ path: 'sub', count: 2 });
  });

  test('returns no more than its bound, and says so', async () => {
    await using where = await place();
    await mkdir(join(where.root, 'many'));
    for (let index = 0; index < 200; index += 1) await writeFile(join(where.root, 'many', `${index}`), '');
    expect(await where.list({ path: 'many', limit: 7 })).toMatchObject({ count: 7, truncated: true });
    expect(await where.list({ path: 'many' })).toMatchObject({ count: 200, truncated: false });
  });

  test('finds a file no folder, and a missing one missing', async () => {
    await using where = await place();
    expect((await rejection(where.list({ path: 'a.txt' }))).code).toBe('invalid');
    expect((await rejection(where.list({ path: 'missing' }))).code).toBe('not-found');
  });
});

test.runIf(process.platform === 'linux')('a folder swapped for a link while tools use it lets nothing in or out', async () => {
  await using where = await place();
  await writeFile(join(where.outside, 'b.txt'), 'SECRET');
  // write_file makes the folder where it finds none, so each step may fail and the next round mends it.
  const swap = `
    const fs = require('fs'); process.chdir(${JSON.stringify(where.root)}); console.log('swapping');
    const attempt = (step) => { try { step(); } catch {} };
    const spin = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };
    for (;;) {
      spin(Math.random());
      attempt(() => { fs.renameSync('sub', 'sub.real'); fs.symlinkSync('../proj-x', 'sub'); });
      spin(Math.random() / 2);
      attempt(() => { fs.rmSync('sub', { recursive: true, force: true }); fs.renameSync('sub.real', 'sub'); });
    }`;
  using swapper = spawn(process.execPath, ['-e', swap], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => swapper.stdout.once('data', resolve));
  let served = 0;
  let refused = 0;
  for (let round = 0; round < 400; round += 1) {
    const [content] = await Promise.allSettled([
      where.read({ path: 'sub/b.txt' }),
      where.list({ path: 'sub' }),
      where.write({ path: 'sub/w.txt', content: 'ATTACK' }),
    ]);
    if (content.status === 'fulfilled') {
      expect(content.value).toMatchObject({ content: 'sub\n' });
      served += 1;
    } else refused += 1;
  }
  expect((await readdir(where.outside)).sort()).toEqual(['b.txt', 'secret']);
  expect(served).toBeGreaterThan(10);
  expect(refused).toBeGreaterThan(10);
});
