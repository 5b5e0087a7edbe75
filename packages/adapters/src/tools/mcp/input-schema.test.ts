import { expect, test } from 'vitest';
import { inputSchemaOf } from './input-schema.ts';

const takes = (schema: object, input: unknown) => inputSchemaOf({ type: 'object', ...schema }).safeParse(input).success;
const field = (schema: unknown, value: unknown) => takes({ properties: { a: schema }, required: ['a'] }, { a: value });

test.each<[unknown, readonly unknown[], readonly unknown[]]>([
  [{ type: 'number' }, [1, 1.5, -0], ['1', null, [1], {}, true, undefined]],
  [{ type: 'integer' }, [1, 1e20], [1.5, '1']],
  [{ type: 'string' }, ['', 'x'], [1, null, ['x']]],
  [{ type: 'boolean' }, [true], ['true', 0]],
  [{ type: 'null' }, [null], [0, '']],
  [{ type: ['string', 'null'] }, ['x', null], [1, {}]],
  [{ type: 'number', minimum: 1, exclusiveMaximum: 3 }, [1, 2.9], [0, 3]],
  [{ type: 'array', items: { type: 'string' }, maxItems: 2 }, [[], ['x']], [['x', 1], ['x', 'y', 'z'], 'x']],
  [
    { type: 'object', properties: { b: { type: 'number' } }, required: ['b'] },
    [{ b: 1 }, { b: 1, c: 2 }],
    [{}, { b: 'x' }, []],
  ],
  [{ type: 'object', additionalProperties: { type: 'number' } }, [{}, { x: 1 }], [{ x: 'y' }]],
  [{ type: 'object', properties: {}, additionalProperties: false }, [{}], [{ x: 1 }]],
  [{ enum: ['a', 1, null] }, ['a', 1, null], ['b', '1', undefined]],
  [{ const: 'a' }, ['a'], ['b']],
  [{ anyOf: [{ type: 'number' }, { type: 'string' }] }, [1, 'x'], [true, null]],
  [{ oneOf: [{ type: 'number' }, { type: 'integer' }] }, [1], ['x']],
  [{}, [1, 'x', null], [undefined]],
])('%j takes what it says, and no more', (schema, good, bad) => {
  for (const value of good) expect(field(schema, value), JSON.stringify(value)).toBe(true);
  for (const value of bad) expect(field(schema, value), JSON.stringify(value)).toBe(false);
});

test.each([
  { $ref: '#/$defs/thing' },
  { type: 'string', format: 'email' },
  { type: 'string', pattern: '^(a+)+$' },
  { type: 'string', nullable: true },
  { type: 'colour' },
  { enum: [{ x: 1 }] },
  { enum: 'x' },
  { not: { type: 'string' } },
  { if: { type: 'string' }, else: false },
  { type: 'string', 'x-unheard-of': { of: ['all'] } },
  { type: 'string', maxLength: 1 },
  { allOf: [{ $ref: '#/$defs/thing' }] },
  true,
  false,
  null,
  7,
])('what is not understood in %j refuses nothing', (schema) => {
  expect(field(schema, '𝒳')).toBe(true);
});

test('a schema that cannot be right refuses nothing', () => {
  for (const schema of [{ properties: 7 }, { required: 'a' }, { required: [1] }, { properties: { a: [] } }]) {
    expect(takes(schema, { a: 1 })).toBe(true);
  }
  expect(takes({ patternProperties: { '^x': {} }, additionalProperties: false }, { xy: 1 })).toBe(true);
  expect(takes(JSON.parse('{"properties":{"__proto__":{"type":"number"}},"required":["__proto__"]}'), {})).toBe(true);
});

test('no schema a server may list makes a check long', () => {
  const nest = (depth: number): unknown =>
    depth === 0 ? { type: 'number' } : { anyOf: Array.from({ length: 2 }, () => ({ type: 'array', items: nest(depth - 1) })) };
  const deep = (depth: number): unknown => (depth === 0 ? 'x' : [deep(depth - 1)]);
  const wide = { anyOf: Array.from({ length: 300 }, () => ({ type: 'array', items: { type: 'number' } })) };
  const startedAt = performance.now();
  field(nest(9), deep(9));
  field(
    { type: 'array', items: wide },
    Array.from({ length: 5_000 }, () => Array.from({ length: 10 }, () => 'x')),
  );
  field(
    wide,
    Array.from({ length: 25_000 }, () => 'x'),
  );
  expect(performance.now() - startedAt).toBeLessThan(1_500);
});
