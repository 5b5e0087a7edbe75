import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { depthWithin, jsonValues, jsonWithin } from './json.ts';

/** Values of parsed JSON, counted the slow way. */
function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return 1 + Object.values(value).reduce<number>((sum, item) => sum + countOf(item), 0);
}

describe('what a text would hold is seen before it is parsed', () => {
  it('never lets through what is deeper or has more values than its bound, in any spelling', () => {
    const spacing = fc.constantFrom(undefined, 1, '\t');
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), spacing, fc.nat(8), fc.nat(30), (value, space, levels, values) => {
        const text = JSON.stringify(value, null, space);
        if (jsonWithin(text, levels, values)) {
          expect(depthWithin(value, levels)).toBe(true);
          expect(countOf(value)).toBeLessThanOrEqual(values);
        }
        // And refuses nothing for less: an empty array counts as two.
        else expect(!depthWithin(value, levels) || 2 * countOf(value) > values).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is counted so that a list has two values more than its members together', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 1 }), (list) => {
        const count = (value: unknown) => jsonValues(JSON.stringify(value), 9, 1e6);
        const members = list.reduce<number>((sum, item) => sum + count(item), 0);
        expect(count({ list })).toBe(members + 2);
      }),
    );
    expect(jsonWithin('[[0]]', 1, Number.POSITIVE_INFINITY)).toBe(false);
    expect(jsonValues('[[0]]', 1, 99)).toBe(Number.POSITIVE_INFINITY);
    expect(jsonValues('[0,0]', 9, 2)).toBe(Number.POSITIVE_INFINITY);
  });

  it.each([
    ['brackets in strings', '["[[[[","{{{{\\"[[[[","\\\\"]', 1],
    ['a string that ends in a backslash', '["\\\\",[1]]', 2],
    ['nothing but a string', '"[[["', 0],
  ])('%s count as what they are', (_name, text, depth) => {
    JSON.parse(text);
    expect([jsonWithin(text, depth, 99), depth > 0 && jsonWithin(text, depth - 1, 99)]).toEqual([true, false]);
  });

  it('a megabyte made to be slow is refused or passed at once: no text is gone over again and again', () => {
    const hostile = [
      '['.repeat(2 ** 20),
      '{"a":'.repeat(2e5),
      '"\\"'.repeat(3e5),
      `"${'\\'.repeat(2 ** 20)}`,
      '{},'.repeat(3e5),
    ];
    for (const text of hostile) {
      // The time of this thread alone: what else the machine does meanwhile is not counted.
      const before = process.threadCpuUsage();
      jsonWithin(text, 32, 65_536);
      const { user, system } = process.threadCpuUsage(before);
      // Milliseconds; anything quadratic takes many seconds.
      expect((user + system) / 1_000).toBeLessThan(200);
    }
  });
});
