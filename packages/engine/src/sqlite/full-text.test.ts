import { DatabaseSync } from 'node:sqlite';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fullTextQuery } from './full-text.ts';

const connection = new DatabaseSync(':memory:');
connection.exec("CREATE VIRTUAL TABLE texts USING fts5(text, secret); INSERT INTO texts VALUES ('plain words', 'hidden')");
const search = (query: string) => connection.prepare('SELECT rowid FROM texts WHERE texts MATCH ?').all(query).length;

test('any text makes a query that FTS5 accepts, or none', () => {
  const nasty = fc.string({
    unit: fc.constantFrom(
      '"',
      "'",
      '*',
      '(',
      ')',
      ':',
      '^',
      '-',
      '+',
      '{',
      '}',
      'NEAR',
      ' OR ',
      ' NOT ',
      'a',
      'é',
      '語',
      '\0',
      ' ',
    ),
  });
  void fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), nasty), (text) => {
      const query = fullTextQuery(text);
      if (query !== undefined) search(query);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ['PLAIN', 1],
  ['wor', 1],
  ['nothing like it, but words', 1],
  ['rds', 0],
  ['plain NOT words', 1],
  ['text:plain', 1],
])('%j finds %i', (text, hits) => {
  expect(search(fullTextQuery(text) ?? '""')).toBe(hits);
});

test('words that are everywhere are left out unless asked for', () => {
  expect(fullTextQuery('what is the')).toBeUndefined();
  expect(fullTextQuery('the end', { keepCommon: true })).toBe('"the"* OR "end"*');
});

test('an endless text makes a short query', () => {
  const query = fullTextQuery(Array.from({ length: 10_000 }, (_, index) => `word${index}`).join(' '));
  expect(query?.split(' OR ')).toHaveLength(16);
});
