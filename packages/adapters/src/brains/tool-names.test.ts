import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createToolNames } from './tool-names.ts';

const LEGAL = /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/;
/** Names that come close to each other: parts of few letters, with every character a peer's or tool's name may have. */
const part = fc.string({
  unit: fc.constantFrom('a', 'b', '_', '__', '-', '.', '1', 'x'.repeat(40)),
  minLength: 1,
  maxLength: 4,
});
const name = fc.oneof(
  part,
  fc.tuple(part, part).map(([peer, tool]) => `${peer}/${tool}`),
  fc.string({ minLength: 1, maxLength: 130 }),
);

test('whatever the names, each gets a legal one of its own and comes back from it', () => {
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 40 }), (names) => {
      const mapped = createToolNames(names);
      const wires = names.map((full) => mapped.toWire(full));
      expect(new Set(wires).size).toBe(names.length);
      for (const [at, wire] of wires.entries()) {
        expect(wire).toMatch(LEGAL);
        expect(mapped.fromWire(wire)).toBe(names[at]);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('the mapping does not depend on the order of the names', () => {
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 20 }), (names) => {
      const [one, other] = [createToolNames(names), createToolNames(names.toReversed())];
      for (const full of names) expect(one.toWire(full)).toBe(other.toWire(full));
    }),
  );
});

test('a peer stands before its tool, and a name that is legal keeps itself', () => {
  const names = createToolNames(['us-monitor/shell_exec', 'memory_search']);
  expect(names.toWire('us-monitor/shell_exec')).toBe('us-monitor__shell_exec');
  expect(names.toWire('memory_search')).toBe('memory_search');
});

test('a local tool named like a remote one keeps its name, and the remote one gives way', () => {
  const names = createToolNames(['a/b', 'a__b']);
  expect(names.toWire('a__b')).toBe('a__b');
  expect(names.toWire('a/b')).toMatch(/^a__b_[0-9a-f]{8}$/);
  expect(names.fromWire(names.toWire('a/b'))).toBe('a/b');
});

test('a name that was never given comes back as it is', () => {
  expect(createToolNames(['a/b']).fromWire('format_disk')).toBe('format_disk');
});
