import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { measured, PROOF_VARIABLE, readMeasurements, sized, sizedTimeout } from './sized.ts';

let directory = '';
let file = '';
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'skein-sized-'));
  file = path.join(directory, 'figures');
  writeFileSync(file, '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

function ask(share: number): void {
  vi.stubEnv(PROOF_VARIABLE, JSON.stringify({ file, share }));
}

test('nobody asks for the full size: the small one, and nothing is written down', () => {
  vi.stubEnv(PROOF_VARIABLE, undefined);
  expect(sized({ ci: 7, full: 1_000 })).toBe(7);
  expect(sizedTimeout({ ci: 7, full: 1_000 })).toBe(7);
  measured('kills', { counts: { kills: 1 } });
  expect(readMeasurements(file)).toEqual([]);
});

test('the full size is as it stands there, a part of it in proportion and never below the small one', () => {
  ask(1);
  expect(sized({ ci: 7, full: 1_000 })).toBe(1_000);
  ask(0.1);
  expect(sized({ ci: 7, full: 1_000 })).toBe(100);
  expect(sized({ ci: 7, full: 20 })).toBe(7);
  // A part may take as long as the whole on a slow machine.
  expect(sizedTimeout({ ci: 7, full: 1_000 })).toBe(1_000);
});

test('what was measured is read as it was written, in its order', () => {
  ask(1);
  measured('kills', { counts: { kills: 3 } });
  measured('fuzz', { peaks: { stallMs: 1.5 } });
  measured('kills', { p99s: { recoveryMs: [1, 2] } });
  expect(readMeasurements(file)).toEqual([
    { row: 'kills', counts: { kills: 3 }, peaks: {}, p99s: {} },
    { row: 'fuzz', counts: {}, peaks: { stallMs: 1.5 }, p99s: {} },
    { row: 'kills', counts: {}, peaks: {}, p99s: { recoveryMs: [1, 2] } },
  ]);
});

test('a value that is no number is not written down as one', () => {
  ask(1);
  expect(() => measured('kills', { peaks: { recoveryMs: Number.NaN } })).toThrow();
  expect(readMeasurements(file)).toEqual([]);
});
