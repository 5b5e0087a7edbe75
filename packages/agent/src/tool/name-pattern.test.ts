import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesAny } from './name-pattern.ts';

test.each([
  ['shell_exec', 'shell_exec', true],
  ['shell_exec', 'shell_*', true],
  ['shell_exec', '*', true],
  ['shell_exec', '*exec', true],
  ['shell_exec', 's*l*c', true],
  ['shell_exec', 'shell', false],
  ['shell_exec', 'shell_exec_more', false],
  ['shell_exec', '', false],
  ['lab/shell_exec', '*', false],
  ['lab/shell_exec', 'lab*', false],
  ['lab/shell_exec', 'shell_exec', false],
  ['lab/shell_exec', 'lab/*', true],
  ['lab/shell_exec', '*/shell_exec', true],
  ['lab~abcd/shell_exec', 'lab/*', false],
  ['abab', 'ab*ab', true],
  ['aba', 'ab*ba', false],
])('%s is allowed by %j: %j', (name, pattern, allowed) => {
  expect(matchesAny(name, [pattern])).toBe(allowed);
});

test('any pattern decides as its regular expression would', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '.'), maxLength: 8 });
  void fc.assert(
    fc.property(text, text, (name, pattern) => {
      const reference = new RegExp(
        `^${pattern
          .split('*')
          .map((piece) => piece.replaceAll('.', '\\.'))
          .join('[^/]*')}$`,
      );
      expect(matchesAny(name, [pattern])).toBe(reference.test(name));
    }),
    { numRuns: 2_000 },
  );
});

test('a pattern of many stars takes no time', () => {
  expect(matchesAny('a'.repeat(200), [`${'*a'.repeat(100)}b`])).toBe(false);
});
