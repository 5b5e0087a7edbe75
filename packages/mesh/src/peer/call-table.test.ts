import { seeded } from '@skein/testing';
import { expect, test } from 'vitest';
import { CallTable } from './call-table.ts';

test.each([
  ['that grow', (at: number) => at],
  ['that all fall into one slot', (at: number) => at * 65_536],
  ['below zero', (at: number) => -at],
  ['above 2^32', (at: number) => 2 ** 40 + at * 3],
])('holds what a Map would, for numbers %s', (_name, idOf) => {
  const draw = seeded(7);
  const random = (below: number) => Math.floor(draw() * below);
  const table = new CallTable<{ readonly id: number; readonly step: number }>();
  const map = new Map<number, { readonly id: number; readonly step: number }>();
  for (let step = 0; step < 6_000; step += 1) {
    const id = idOf(random(step % 2_000 < 1_000 ? 40 : 1_500));
    if (random(2) === 0) {
      const entry = { id, step };
      table.add(entry);
      map.set(id, entry);
    } else {
      expect(table.delete(id)).toBe(map.delete(id));
    }
    const looked = idOf(random(1_500));
    expect(table.get(looked)).toBe(map.get(looked));
    expect(table.size).toBe(map.size);
  }
  for (const id of map.keys()) expect(table.delete(id)).toBe(true);
  expect(table.size).toBe(0);
  for (const entry of map.values()) table.add(entry);
  const byId = (a: { readonly id: number }, b: { readonly id: number }) => a.id - b.id;
  expect(table.entries().sort(byId)).toEqual([...map.values()].sort(byId));
});
