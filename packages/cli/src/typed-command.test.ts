import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { typedCommand, typedFolder, withTypedCommand } from './typed-command.ts';

function folder() {
  const at = mkdtempSync(path.join(os.tmpdir(), 'skein-typed-'));
  return {
    at,
    put(file: string) {
      mkdirSync(path.dirname(path.join(at, file)), { recursive: true });
      writeFileSync(path.join(at, file), '');
    },
    [Symbol.dispose]: () => rmSync(at, { recursive: true, force: true }),
  };
}

test.each(['exec', 'run-script', 'start'])('started by npm (%s), it is typed with npx', (npm_command) => {
  using place = folder();
  place.put('bin/skein');
  expect(typedCommand({ npm_command, PATH: path.join(place.at, 'bin') }, place.at)).toBe('npx skein');
});

test('found on the PATH, it is typed as it is', () => {
  using place = folder();
  place.put('bin/skein');
  const PATH = ['/nowhere', path.join(place.at, 'bin')].join(path.delimiter);
  expect(typedCommand({ PATH }, place.at)).toBe('skein');
});

test('not found there, it is typed with npx below the folder where it is installed, and there alone', () => {
  using place = folder();
  place.put('clone/node_modules/.bin/skein');
  mkdirSync(path.join(place.at, 'clone/deep'));
  expect(typedCommand({}, path.join(place.at, 'clone/deep'))).toBe('npx skein');
  expect(typedCommand({ PATH: '/nowhere' }, place.at), 'npx would fetch a stranger').toMatch(/^node \/.*\/bin\/skein\.mjs$/);
});

test.each([
  ['Next: skein start, and skein invite to let another in', 'Next: npx skein start, and npx skein invite to let another in'],
  ['`skein init` writes one', '`npx skein init` writes one'],
  ['Ask it: skein -C "my nodes" ask "…"', 'Ask it: npx skein -C "my nodes" ask "…"'],
  ['run: npx skein start', 'run: npx skein start'],
  ['skein.config.json is there; /opt/skein start', 'skein.config.json is there; /opt/skein start'],
  ['the peer skein is away', 'the peer skein is away'],
])('%j is told as what runs here', (text, told) => {
  expect(withTypedCommand(text, 'npx skein')).toBe(told);
});

test('the options that say which node is meant are typed again, unless the message says which', () => {
  // How it is found over there, nobody here knows.
  expect(withTypedCommand('On the other machine run: skein net trust "…"', 'node here.mjs')).toContain('run: skein net trust');
  expect(withTypedCommand('skein start; skein -C b start', 'skein', ' -C a')).toBe('skein -C a start; skein -C b start');
});

test('a folder is typed from where the person is', () => {
  expect(typedFolder('/clone/.skein/demo', {}, '/clone')).toBe(path.join('.skein', 'demo'));
  expect(typedFolder('/clone/.skein/demo', { INIT_CWD: '/clone/examples' }, '/clone')).toBe('/clone/.skein/demo');
  expect(typedFolder('/clone/my nodes', {}, '/clone')).toBe('"my nodes"');
  expect(typedFolder('/clone', {}, '/clone')).toBe('.');
});
