import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from './canonical.ts';

/** The same value with the keys of every object put in the other order. */
function turned(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(turned);
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, turned(member)]),
  );
}

/** Every object of a text has its keys in order, as they are written there. */
function isOrdered(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isOrdered);
  const keys = Object.keys(value);
  return JSON.stringify(keys) === JSON.stringify(keys.toSorted()) && Object.values(value).every(isOrdered);
}

describe('the canonical form of a value', () => {
  // Keys that are numbers come first in every object, whatever the order they were put in.
  const keys = fc.oneof(fc.string(), fc.constantFrom('10', '9', '__proto__', 'toJSON', 'é', '\u{10000}', '\uFFFF'));
  const { value } = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.boolean(), fc.constant(null)),
    value: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(keys, tie('value')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
    ),
  }));
  const parsed = value.map((one) => JSON.parse(JSON.stringify(one)) as unknown);

  it('is the same in whatever order its keys came, and reads as the value', () => {
    fc.assert(
      fc.property(parsed, (one) => {
        const text = canonicalJson(one);
        expect(canonicalJson(turned(one))).toBe(text);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(one);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has its keys in the order of their code units, also those that are numbers', () => {
    expect(canonicalJson({ 9: 1, 10: 2, a: { b: 1, '\u{10000}': 2, '\uFFFF': 3 } })).toBe(
      '{"10":2,"9":1,"a":{"b":1,"\u{10000}":2,"\uFFFF":3}}',
    );
    expect(isOrdered(JSON.parse(canonicalJson({ z: [{ y: 1, x: { b: 1, a: 2 } }], a: null })))).toBe(true);
  });

  it('leaves out what is undefined, and has null for it in a list', () => {
    expect(canonicalJson({ a: undefined, b: [undefined, 1] })).toBe('{"b":[null,1]}');
    expect(canonicalJson({ b: [undefined, 1], a: undefined })).toBe('{"b":[null,1]}');
  });
});
