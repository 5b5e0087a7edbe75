import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PlainStream, plainLine, plainText } from './plain-text.ts';

const ATTACKS = [
  'a\u001b[2Jb', // clears the screen
  'a\u001b]0;title\u0007b', // renames the window
  'a\u001b]8;;http://evil/\u0007b', // hides a link
  'a\u009b31mb', // one-byte introducer
  'a\rb', // goes back over the line
  'a\u0008b',
  'a\u202eb', // turns the direction around
];

test.each(ATTACKS)('%j leaves only what can be read', (text) => {
  expect(plainText(text)).toMatch(/^a.*b$/);
  expect(plainText(text)).not.toMatch(/[^\P{Cc}\t\n]|\u202e/u);
});

test('keeps lines, tabs and every script', () => {
  expect(plainText('ä\t日本\n🙂')).toBe('ä\t日本\n🙂');
});

test('lets no control through, whatever comes and wherever it is cut', () => {
  const piece = fc.oneof(fc.constantFrom('\u001b', '[', ']', '31m', '0;t', '\u0007', '\u009b', '\\', 'x', '\n'), fc.string());
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const stream = new PlainStream();
      const shown = pieces.map((text) => stream.push(text)).join('') + stream.end();
      expect(shown).not.toMatch(/[^\P{Cc}\t\n]/u);
    }),
  );
});

test('an escape sequence that comes in two pieces leaves nothing behind', () => {
  const stream = new PlainStream();
  expect(stream.push('red: \u001b[3') + stream.push('1mhot') + stream.end()).toBe('red: hot');
});

test('an escape that never ends is not held for ever', () => {
  const stream = new PlainStream();
  stream.push('\u001b]0;');
  expect(stream.push('x'.repeat(1_000)).length).toBeGreaterThan(900);
});

test('a line is one line, and not longer than it may be', () => {
  expect(plainLine('a\n  b', 10)).toBe('a b');
  expect(plainLine('x'.repeat(50), 10)).toHaveLength(10);
});
