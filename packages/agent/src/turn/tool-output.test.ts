import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boundedOutput } from './tool-output.ts';

const lengthOf = (value: unknown) => JSON.stringify(value).length;

describe('an output that is too long', () => {
  test('keeps its shape: the long text is cut and says so, what is short beside it stays', () => {
    const output = { exitCode: 0, signal: null, stdout: 'line\n'.repeat(20_000), stderr: 'a warning', ms: 12 };
    const bounded = boundedOutput(output, 16_000);
    expect(bounded).toEqual({
      ...output,
      stdout: expect.stringMatching(/^line\nline\n[\s\S]*\n\[cut here: 100000 characters in all, \d{5} shown\]$/),
    });
    expect(lengthOf(bounded)).toBeLessThanOrEqual(16_000);
    expect(lengthOf(bounded)).toBeGreaterThan(15_900);
  });

  test('shares the room between several long texts', () => {
    const bounded = boundedOutput({ stdout: 'o'.repeat(50_000), note: 'n', stderr: 'e'.repeat(3_000) }, 10_000);
    expect(bounded).toEqual({ stdout: expect.stringMatching(/^o{6000}/), note: 'n', stderr: 'e'.repeat(3_000) });
  });

  test('loses the tail of a long list, whose first rows stay whole', () => {
    const entries = Array.from({ length: 5_000 }, (_, index) => ({ path: `file-${index}.txt`, sizeBytes: index }));
    const bounded = boundedOutput({ path: '.', count: 5_000, entries }, 4_000);
    expect(bounded).toEqual({
      path: '.',
      count: 5_000,
      entries: expect.arrayContaining([
        entries[0],
        entries[50],
        expect.stringMatching(/cut here: 5000 items in all, \d+ shown/),
      ]),
    });
    expect(lengthOf(bounded)).toBeGreaterThan(3_500);
  });

  test('loses the tail of an object with too many entries', () => {
    const many = Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`key${index}`, index]));
    const bounded = boundedOutput(many, 1_000);
    expect(bounded).toMatchObject({ key0: 0, key9: 9, '[cut here]': expect.stringMatching(/9000 entries in all, \d+ shown/) });
  });

  test('of text alone stays text', () => {
    expect(boundedOutput('ü"'.repeat(5_000), 1_000)).toMatch(
      /^(?:ü"){200}[\s\S]*\[cut here: 10000 characters in all, \d+ shown\]$/,
    );
  });

  test('and too deep is cut as text', () => {
    const deep: unknown = JSON.parse(`${'['.repeat(1_000)}${']'.repeat(1_000)}`);
    const bounded = boundedOutput(deep, 1_000);
    expect(bounded).toMatch(/^\[{65}/);
    expect(lengthOf(bounded)).toBeLessThanOrEqual(1_000);
  });

  test('is never longer than the bound, whatever is in it, and short ones come as they are', () => {
    // An entry called `__proto__` is left out by whoever parses it.
    const value = fc.anything({
      maxDepth: 6,
      values: [fc.string({ maxLength: 400, unit: 'binary' }), fc.integer(), fc.double(), fc.boolean(), fc.constant(null)],
      key: fc.oneof(fc.string({ maxLength: 200 }), fc.constantFrom('[cut here]', 'a')).filter((key) => key !== '__proto__'),
    });
    fc.assert(
      fc.property(value, fc.integer({ min: 64, max: 3_000 }), (output, maxChars) => {
        const bounded = boundedOutput(output, maxChars);
        expect(lengthOf(bounded)).toBeLessThanOrEqual(maxChars);
        const whole = JSON.parse(JSON.stringify(output ?? null));
        if (lengthOf(whole) <= maxChars) expect(bounded).toEqual(whole);
        else expect(Array.isArray(bounded)).toBe(Array.isArray(whole));
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['a million empty lists', Array.from({ length: 1_000_000 }, () => [])],
    ['a thousand long keys', Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => ['k'.repeat(4_000) + at, at]))],
    ['text of nothing but escapes', '\u0000'.repeat(4_000_000)],
    ['lists in lists of long texts', Array.from({ length: 60 }, () => Array.from({ length: 60 }, () => 'x'.repeat(500)))],
  ])('costs little more than reading it: %s', (_, output) => {
    const before = process.cpuUsage();
    expect(lengthOf(boundedOutput(output, 16_000))).toBeLessThanOrEqual(16_000);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(4_000);
  });
});
