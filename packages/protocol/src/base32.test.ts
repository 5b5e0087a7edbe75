import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatBase32, parseBase32 } from './base32.ts';

it.each([
  // RFC 4648, section 10, in lower case and without padding.
  ['', ''],
  ['f', 'my'],
  ['fo', 'mzxq'],
  ['foo', 'mzxw6'],
  ['foob', 'mzxw6yq'],
  ['fooba', 'mzxw6ytb'],
  ['foobar', 'mzxw6ytboi'],
])('"%s" is "%s"', (plain, encoded) => {
  expect(formatBase32(Buffer.from(plain))).toBe(encoded);
  expect(Buffer.from(parseBase32(encoded) ?? []).toString()).toBe(plain);
});

it('bytes come back as they were', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      expect([...(parseBase32(formatBase32(bytes)) ?? [])]).toEqual([...bytes]);
    }),
  );
});

it('bytes have one spelling: any text that parses is the one that formatting gives', () => {
  const letters = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567'), maxLength: 60 });
  fc.assert(
    fc.property(fc.oneof(letters, fc.string({ maxLength: 60 })), (text) => {
      const bytes = parseBase32(text);
      expect(bytes === undefined || formatBase32(bytes) === text).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

it.each(['MY', 'my======', 'm1', 'mz', 'a', 'my ', 'mÿ', 'aaa'])('"%s" is refused', (text) => {
  expect(parseBase32(text)).toBe(undefined);
});
