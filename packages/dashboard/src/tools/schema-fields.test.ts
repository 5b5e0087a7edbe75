import { describe, expect, it } from 'vitest';
import { fieldsOf, inputFrom, inputFromJson } from './schema-fields.ts';

const schema = {
  type: 'object',
  properties: {
    path: { type: 'string', description: 'Where' },
    depth: { type: 'integer', default: 2 },
    ratio: { type: 'number' },
    all: { type: 'boolean' },
    mode: { enum: ['a', 'b'] },
    argv: { type: 'array', items: { type: 'string' } },
  },
  required: ['path', 'all', 'depth'],
};

describe('a form made of a schema', () => {
  it('has a simple field for what one can hold and JSON for the rest', () => {
    expect(fieldsOf(schema).map((field) => [field.name, field.kind, field.isRequired])).toEqual([
      ['path', 'text', true],
      ['depth', 'integer', false],
      ['ratio', 'number', false],
      ['all', 'boolean', true],
      ['mode', 'choice', false],
      ['argv', 'json', false],
    ]);
  });

  it('makes the input the schema asks for', () => {
    const written = { path: '/var', ratio: '0.5', mode: 'b', argv: '["a"]' };
    expect(inputFrom(fieldsOf(schema), written)).toEqual({
      ok: true,
      input: { path: '/var', depth: 2, ratio: 0.5, all: false, mode: 'b', argv: ['a'] },
    });
  });

  it('says what is missing or wrong beside its field', () => {
    const written = { depth: '1.5', ratio: 'x', argv: '[' };
    expect(inputFrom(fieldsOf(schema), written)).toEqual({
      ok: false,
      problems: { path: 'Needed', depth: 'Not a whole number', ratio: 'Not a number', argv: 'Not JSON' },
    });
  });

  it('has none for a schema without properties, and odd schemas break nothing', () => {
    for (const odd of [
      {},
      { properties: null },
      { properties: [] },
      { properties: { a: true } },
      { properties: { a: null } },
    ]) {
      expect(() => fieldsOf(odd)).not.toThrow();
    }
    expect(inputFromJson(' ')).toEqual({ ok: true, input: {} });
    expect(inputFromJson('[1]')).toMatchObject({ ok: false });
  });
});
